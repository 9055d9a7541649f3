"""Descriptors at run time: the registry of files, messages, enums, services and methods, and where they come from."""
