"""The blocking client under gevent, which takes the place of socket, select and threading."""
