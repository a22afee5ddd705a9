"""`peg_insert` with a square peg and hole, whose turn about the vertical is hidden, too."""

from tasks.peg_insert.fit import fitted

SPEC = fitted(
    "peg_insert_square",
    "insert a square peg (0.5 mm clearance, 1 mm fillet) into a socket hidden within 1 mm and 1 degree, in yaw too",
    clearance=0.0005,
    square=True,
)
