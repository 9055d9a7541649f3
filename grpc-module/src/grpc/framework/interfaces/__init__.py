"""Interfaces of calls, as they were before `grpc.Call`."""
