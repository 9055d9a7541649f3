"""Requests for people's own tests: Hypothesis strategies, and a servicer in this process with coverage as feedback."""
