"""Runs one model on one task under a grid of cells: prepare, compute what is missing, score, show."""
