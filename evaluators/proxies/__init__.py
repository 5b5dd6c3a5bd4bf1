"""Scores that need no target matrices: the registry of their names, and the scores themselves."""
