"""SnapKV with a small window; its numbers are compared with the authors'."""

KNOBS = {"k": 6, "window": 2, "kernel": 3}
VARIANTS = [
    {"k": 7, "window": 2, "kernel": 5, "pooling": "avg", "group": "none"},
    {"k": 7, "window": 4, "kernel": 1, "group": "max"},
]
SOLVED = {"window": 3}
