"""`relocate` with its bins exchanged: each of the two begins where the other ends."""

from tasks.relocate.task import LEFT, RIGHT, relocation

SPEC = relocation("relocate_back", "relocate", source=RIGHT, goal=LEFT)
