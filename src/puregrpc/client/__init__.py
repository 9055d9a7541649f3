"""The scripting API: Client and Stream (blocking), AsyncClient and AsyncStream (asyncio, trio), and check.

``params`` is what a script gives, ``results`` what it gets, ``calls`` what is between the two without I/O; ``network``
is the connection, on which ``streams`` stand. Each imports only what was named before it.
"""
