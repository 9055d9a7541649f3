"""The calls of a server, by what their clients send, and by where their handlers run."""
