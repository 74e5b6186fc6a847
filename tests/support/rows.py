"""Rows of a small table of outputs, made by hand."""

import math

from harness.tables.rows import to_frame

LABELS = {"model": "m", "run": "r", "method": "x", "params": "{}", "ratio": 2.0, "cell": "x-1", "per": "task"}
LABELS |= {"dtype": "float16", "memory_ratio": 3.0, "cost": "formula"}


def frame():
    """Two cells, one metric, four examples; the dense rows come in another order."""
    scores = {"dense-1": {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}, "x-1": {"d": 1.0, "c": 0.0, "a": 0.5, "b": 0.25}}
    rows = []
    for cell, by_example in scores.items():
        for example, value in by_example.items():
            labels = {**LABELS, "cell": cell, "method": cell[:-2], "task": "t", "example": example, "metric": "match"}
            facts = {"bytes_per_token": 2.0, "transfers_elements": 1.0 if cell == "x-1" else 4.0, "prompt_tokens": 9.0}
            facts |= {
                "kl": 0.5,
                "agreement": 0.75,
                "lost": 0.25,
                "accepted_2": 1.0,
                "accepted_4": 2.0,
                "accepted_8": 3.0,
            }
            facts |= {"held_bytes": 2.0 if cell == "x-1" else 6.0, "memory_compression": 5.0}
            facts |= {
                "cut_tokens": 0,
                "new_tokens": 3,
                "seconds": 0.1,
                "active": cell == "x-1",
                "decided": example == "a",
                "delta_nll": math.nan,
            }
            facts |= {"first_difference": 2.0 if cell == "x-1" and example != "d" else math.nan, "compression": 9.0}
            rows.append({**labels, **facts, "value": value, "higher_is_better": True})
    return to_frame(rows)
