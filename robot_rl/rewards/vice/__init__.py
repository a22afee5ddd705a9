"""VICE: a reward learnt from pictures of the goal, against what the policy does."""
