"""TokenSelect lets all heads of a layer vote; its definition is in golden/test_token_select.py."""

KNOBS = {"top_k": 3, "n_init": 2, "n_local": 2}
VARIANTS = [
    KNOBS | {"positions": "original", "scores": "rotated"},
    KNOBS | {"positions": "original", "kernel_size": 3},
    KNOBS | {"scores": "rotated"},
]
FULL = {"top_k": 1000}


def larger(knobs):
    return {"top_k": knobs["top_k"] + 1}
