"""Which cases a run tries, method by method and phase by phase."""
