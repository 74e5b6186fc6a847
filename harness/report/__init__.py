"""Makes of a results folder tables, figures, verdicts against published numbers, and one interactive page.

Reads files only: no model, no torch. load.py says what is read, sources.py what a figure is given.
"""
