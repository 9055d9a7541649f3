"""Versions of public implementations that are known to be broken, beside ones where that is mended."""
