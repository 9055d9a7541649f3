"""What kinds of methods there are."""
