"""Holds methods that save work in the prompt's own attention, and decode densely."""
