"""The kernels of event loops: asyncio's (uvloop is one) and trio's."""
