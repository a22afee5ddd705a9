"""What a vision-language model says of single pictures: how far the task is done."""
