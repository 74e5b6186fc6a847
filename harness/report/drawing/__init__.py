"""Holds what figures share: sizes and colours, axes, curves, and how files are written."""
