"""Where evaluators run: in this process, or in Ray actors here or on many nodes. Knows nothing of evolution.

Imports nothing itself, because a worker's process imports it before it says how many threads libraries may use.
"""
