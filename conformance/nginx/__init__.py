"""Calls through a real intermediary: nginx with TLS in front and grpc_pass behind."""
