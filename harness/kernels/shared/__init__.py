"""Holds what the operators share: the cache, the choice of tokens, exact attention over them, the device."""
