"""Measurements, side by side in one process: ratios, never absolute times. Run with `make bench`."""
