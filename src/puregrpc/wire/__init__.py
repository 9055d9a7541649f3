"""gRPC over HTTP/2 without I/O: bytes in, calls out. No sockets, clocks or tasks; time is an argument."""
