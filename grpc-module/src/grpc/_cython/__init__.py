"""Kept under the name that grpcio has for its native core."""
