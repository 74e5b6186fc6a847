"""KVQuant with few bits; its numbers are compared with the authors'."""

KNOBS = {"bits": 2}
VARIANTS = [
    {"bits": 3, "outlier_fraction": 0.2, "codebook": "nf", "first_tokens_exact": 0},
    {"bits": 2, "outlier_fraction": 0.0, "codebook": "int", "first_tokens_exact": 3},
]
FULL = {"outlier_fraction": 1.0}


def larger(knobs):
    """One bit more, beyond four only outliers; or a few more of them, where a ratio left fewer than usual."""
    if knobs["outlier_fraction"] is not None:
        return {"outlier_fraction": knobs["outlier_fraction"] + 1e-6}
    return {"bits": knobs["bits"] + 1} if knobs["bits"] < 4 else {"outlier_fraction": 1.0}
