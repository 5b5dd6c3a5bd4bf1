"""Topologies: what a sparse cascade is, and everything that is a function of it alone."""
