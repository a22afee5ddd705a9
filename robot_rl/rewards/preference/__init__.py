"""A reward learnt from comparisons, by a person or a vision-language model: which is nearer the goal."""
