"""The HTTP/2 engine for the hot path: frames parsed in place, header blocks cached, one write for all ready calls."""
