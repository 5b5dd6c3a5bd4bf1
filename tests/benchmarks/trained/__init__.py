"""Sparse layers in trained networks beside their rivals: many small networks trained at once, on any device."""
