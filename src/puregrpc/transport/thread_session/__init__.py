"""The session of threads: reading, writing, and what is between them.

Callers write to the socket themselves. A unary call that is alone on its connection reads its answer itself, which
spares it two hand-overs between threads; as soon as there is more to wait for, one thread reads for all. Sending
never waits: what the socket does not take at once is left to a second thread, which is there only while that is so.
So a caller waits for its own call alone, within its own deadline, and the reader is never kept from reading. Where a
server has many sessions, few threads read for all of them. Only ``socket``, ``select`` and ``threading`` are used,
for gevent to put its own in their place.
"""

from __future__ import annotations

from puregrpc.transport.thread_session.session import ThreadSession

__all__ = ["ThreadSession"]
