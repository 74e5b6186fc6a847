"""The grid of one job: which cells, what each moves, and who computes which share."""
