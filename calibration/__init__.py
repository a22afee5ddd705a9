"""Calibration of a cell: intrinsics, hand-eye, payload, latency, and a twin that is fitted to the arm (planned)."""
