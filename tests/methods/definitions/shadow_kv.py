"""ShadowKV factorises the keys of all heads at once; its definition is in golden/test_shadow_kv.py."""

KNOBS = {"k": 4, "chunk": 2, "rank": 3, "outliers": 1, "local_chunks": 1}
VARIANTS = [KNOBS | {"chunk": 3, "outliers": 0, "local_chunks": 0}]
FULL = {"k": 1000, "rank": 1000}


def larger(knobs):
    return {"k": knobs["k"] + knobs["chunk"]}
