"""The whole line in one command, and the numbers that the README quotes."""
