"""Measures speed, each time beside the error of the same call: what `harness bench` runs."""
