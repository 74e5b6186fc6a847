"""Measurements of speed: `python -m harness.bench attention --help`."""
