"""The faces: each parses requests and renders answers, nothing else."""
