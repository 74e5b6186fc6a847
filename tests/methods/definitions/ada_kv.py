"""Ada-KV with a small window, even and in a pyramid; its numbers are compared with the authors'."""

KNOBS = {"k": 6, "window": 2, "kernel": 3}
VARIANTS = [
    {"k": 7, "window": 2, "kernel": 5, "pooling": "avg", "group": "none", "floor": 0.5, "normalize": True},
    {"k": 7, "window": 4, "kernel": 1, "group": "max", "floor": 0.0, "pyramid": True, "beta": 3},
]
SOLVED = {"window": 3}
