"""Expected Attention with few sinks; its numbers are compared with the released code's, and with loops."""

KNOBS = {"k": 6, "sink": 2, "future": 16}
VARIANTS = [
    {"k": 7, "sink": 0, "future": 5, "covariance": False, "value_norm": False},
    {"k": 6, "sink": 3, "future": 40, "epsilon": 0.02},
]
