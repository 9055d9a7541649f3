"""Helpers that dependants and tests of grpcio use."""
