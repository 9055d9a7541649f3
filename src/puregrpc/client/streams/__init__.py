"""Streams: their events, handlers and iteration; blocking, and on asyncio and trio."""
