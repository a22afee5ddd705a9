"""PyBullet as a second engine: the same scenes, law and filter with another solver of contacts (docs/engines.md)."""
