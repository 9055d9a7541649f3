"""Calls as a client sees them: the four shapes, interceptors around them, and other attempts at those that failed."""
