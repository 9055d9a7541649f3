"""The version of grpcio whose interface this has: generated code asks for it, and refuses a lower one than its own."""

__version__ = "1.85.3"
