"""Measurements of speed: what `harness bench` runs."""
