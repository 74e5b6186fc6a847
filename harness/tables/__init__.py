"""Derives tables from raw outputs: tidy rows, and one line per cell and metric. No torch here."""
