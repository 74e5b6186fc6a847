"""Holds methods that keep every token, in fewer bits or numbers: quantised and low-rank caches."""
