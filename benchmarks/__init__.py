"""Benchmarks: each a program that measures puregrpc beside its peers in one run and prints ratios."""
