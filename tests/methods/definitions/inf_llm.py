"""InfLLM chooses blocks for all heads of a layer at once; its definition is in golden/test_inf_llm.py."""

KNOBS = {"top": 1, "sinks": 1, "window": 3, "block": 2, "representatives": 1}
VARIANTS = [{"top": 2, "sinks": 0, "window": 2, "block": 2, "representatives": 2}]
FULL = {"window": 1000}


def larger(knobs):
    return {"top": knobs["top"] + 1}
