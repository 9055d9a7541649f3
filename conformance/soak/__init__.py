"""The soak: many calls of all shapes through a network that breaks, and nothing left behind at the end."""
