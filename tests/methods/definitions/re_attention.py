"""ReAttention searches for all heads of a layer at once; its definition is in golden/test_re_attention.py."""

KNOBS = {"clip": 2, "sinks": 1, "local": 4, "top": 1, "span": 2, "block": 2}
VARIANTS = [KNOBS | {"reindex": False}, KNOBS | {"top": 0}]
FULL = {"local": 1000}


def larger(knobs):
    return {"clip": knobs["clip"] + 1, "local": knobs["local"] + knobs["block"]}
