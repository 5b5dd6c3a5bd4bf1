"""A run in words, tables and pictures; everything here is a view of the journal."""
