"""Holds device code: importing a file of this folder needs Triton."""
