"""A client's connection: a channel with a script's params, its unary calls, and the calls behind streams."""
