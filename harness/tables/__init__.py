"""Tidy rows and one line per cell and metric, derived from raw outputs."""
