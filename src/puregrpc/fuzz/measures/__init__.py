"""What a target takes: memory and processor time, what it does not give back, limits with a second client beside."""
