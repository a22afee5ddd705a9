"""Bringing the cell to the start of an episode: through the same targets and the same filter as a policy."""
