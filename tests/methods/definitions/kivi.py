"""KIVI with small groups; its numbers are compared with the authors'."""

KNOBS = {"bits": 2, "group_size": 4, "residual_length": 8}
VARIANTS = [{"bits": 4, "key_bits": 2, "group_size": 4, "residual_length": 4}]
FULL = {"residual_length": 64}
SOLVED = {"group_size": 8, "residual_length": 32}


def larger(knobs):
    """Twice the bits; beyond eight all tokens stay exact."""
    return {"bits": 2 * knobs["bits"]} if knobs["bits"] < 8 else {"residual_length": 1 << 20}
