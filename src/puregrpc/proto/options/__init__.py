"""Options interpreted: names to fields and extensions of the options messages, values made to fit, aggregates read.

It remembers what options say about the use of options.
"""
