"""Connecting and listening, with TLS, on streams of bytes: written once for all kernels."""
