"""From a descriptor to the functions that encode and decode its messages: shape, source text, compiled function."""
