"""Holds methods that keep the whole cache and choose at every step what of it to read."""
