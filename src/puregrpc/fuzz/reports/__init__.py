"""What a run has found, for people and programs, and kept in files for the next one."""
