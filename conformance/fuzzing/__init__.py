"""Random input, for as long as one likes, into everything that reads what others wrote."""
