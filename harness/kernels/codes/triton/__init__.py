"""Holds what runs on the GPU: codes read back, codes written, and attention over them."""
