"""Syntax trees to run-time descriptors: declare every name, then resolve every name that is used.

It knows features and defaults, and what hint helps where a name means nothing.
"""
