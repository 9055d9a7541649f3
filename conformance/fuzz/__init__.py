"""The zoo: servers that are broken in one way each, their sound twins, and what `puregrpc fuzz` says of them."""
