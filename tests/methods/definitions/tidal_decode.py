"""TidalDecode's layers read what a layer below chose in the same step; the choosing ones are dense (golden numbers)."""

KNOBS = {"token_budget": 6, "sparse_layer_start": 0, "correction_layer": 2}
VARIANTS = [{**KNOBS, "per_query_head": True}]
FULL = {"token_budget": 100}
LAYERS = (1, 3)
BELOW = 0


def larger(knobs):
    """One token more."""
    return {"token_budget": knobs["token_budget"] + 1}
