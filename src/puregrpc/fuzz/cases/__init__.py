"""Cases as data: steps and answers, and what is made into them at the levels of damage, headers, sequences, frames."""
