"""Holds methods that drop tokens for good."""
