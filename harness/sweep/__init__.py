"""One model on one task under a grid of cells: prepare, run what is missing, score, show."""
