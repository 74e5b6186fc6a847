"""Evaluate decode-time KV-cache techniques of language models: what they move, and what they lose."""

__version__ = "0.1.0"
