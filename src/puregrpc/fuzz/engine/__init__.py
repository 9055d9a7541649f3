"""A run: the time of each phase, batches, what is seen again, made smaller and told as a finding."""
