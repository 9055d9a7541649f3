"""What other libraries and tools look for in puregrpc: one folder or module for each."""
