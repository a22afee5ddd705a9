"""Pictures to features by frozen networks. Torch perceives and JAX learns, so torch is imported below here only."""

from __future__ import annotations

FEATURES = (4, 4, 64)
"""Height, width and channels of every backbone's features."""
