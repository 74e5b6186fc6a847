"""What the operators share: the cache, the choice of tokens, exact attention over them, what the device can run."""
