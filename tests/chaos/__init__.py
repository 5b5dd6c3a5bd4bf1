"""A search among faults: whatever dies, fills up or goes away, the result is the same and no work is lost."""
