"""The shop of the zoo on other implementations, of versions that are asked for."""
