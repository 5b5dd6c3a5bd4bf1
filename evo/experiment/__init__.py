"""A search from beginning to end: initial population, baselines, tuning, the loop, and validation."""
