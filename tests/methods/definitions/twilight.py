"""Twilight; what it computes is held to the authors' numbers (golden/test_twilight.py)."""

from definitions import double_sparsity

KNOBS = {"token_budget": 8, "page_size": 2, "p": 0.7, "dense_layers": 0}
VARIANTS = [
    {"base": "full", "token_budget": None, "p": 0.6, "dense_layers": 0},
    {"base": "double_sparsity", "token_budget": 7, "p": 0.8, "dense_layers": 0, "per_query_head": True},
    {"base": "double_sparsity", "token_budget": 7, "channels": "prompt_qk", "dense_layers": 0},
    {"base": "double_sparsity", "token_budget": 7, "channels": "q", "dense_layers": 0, "per_query_head": True},
    {"base": "sparq", "token_budget": 7, "r": 3, "dense_layers": 0},
    {"token_budget": 8, "page_size": 2, "dense_layers": 0, "released_kernel": True},
]
FULL = {"token_budget": 1000, "p": 1.0}


def calibration(method, case):
    return double_sparsity.calibration(method, case)


def larger(knobs):
    step = knobs["page_size"] if knobs["base"] == "quest" else 1
    return {"token_budget": knobs["token_budget"] + step}
