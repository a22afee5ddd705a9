"""Likeness to the goal: a score that nothing was learnt for."""
