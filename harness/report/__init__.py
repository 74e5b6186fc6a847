"""From a results folder to tables, figures, verdicts against published numbers, and one interactive page.

Reads files only: no model, no torch. Start at cli.py; load.py says what is read, sources.py what a figure is given.
"""
