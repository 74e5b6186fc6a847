"""ArkVale keeps a cache of pages; what it computes is held to the authors' numbers (golden/test_arkvale.py)."""

KNOBS = {"page_budget": 4, "page_size": 2, "page_topk": 3, "n_sink_pages": 1, "dense_layers": 0}
VARIANTS = [{"page_budget": 5, "page_size": 1, "n_groups": 2, "dense_layers": 0}]
FULL = {"page_budget": 1000}


def larger(knobs):
    return {"page_budget": knobs["page_budget"] + 1}
