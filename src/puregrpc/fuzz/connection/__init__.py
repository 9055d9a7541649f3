"""The target: its process, connections to it that send anything, and cases carried out over them."""
