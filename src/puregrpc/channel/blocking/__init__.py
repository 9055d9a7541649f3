"""The channel for blocking callers: the same channel and calls, each method run to its end in the calling thread."""
