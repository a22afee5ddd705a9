"""`peg_insert` with 1 mm of clearance."""

from tasks.peg_insert.fit import fitted

SPEC = fitted(
    "peg_insert_loose",
    "insert a round peg (1 mm clearance, 1 mm fillet) into a socket hidden within 1 mm and 1 degree",
    clearance=0.001,
)
