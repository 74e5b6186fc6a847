"""PyramidKV with a steep pyramid over few layers; its numbers are compared with the authors'."""

KNOBS = {"k": 6, "window": 2, "kernel": 3}
VARIANTS = [
    {"k": 7, "window": 2, "kernel": 5, "pooling": "avg", "group": "none", "beta": 3},
    {"k": 6, "window": 4, "kernel": 1, "group": "max", "beta": 1},
]
SOLVED = {"window": 3}
