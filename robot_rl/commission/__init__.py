"""Bringing a cell into use, in this order: look at it (`doctor`), move it with care (`teleop`), teach it (`teach`)."""
