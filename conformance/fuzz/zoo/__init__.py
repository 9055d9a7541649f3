"""Servers that are broken on purpose: ``python -m conformance.fuzz.zoo.NAME PORT FAULT``, ``sound`` for none."""
