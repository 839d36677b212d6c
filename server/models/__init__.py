"""Models, their versions and states, and what is found of them on disk."""
