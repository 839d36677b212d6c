"""A parity run over models of other people's libraries: each cell JAX's answer, or refused."""
