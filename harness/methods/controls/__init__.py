"""Holds baselines of every comparison: dense attention, and choices that are not meant as techniques."""
