"""Lends tasks what they make examples with: random numbers and a tokenizer."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

from harness.hf import Checkpoint


@contextlib.contextmanager
def drawing_as_lm_eval() -> Iterator[None]:
    """Seed what tasks draw their examples with as lm-eval's command line does, and put it back afterwards."""
    states = random.getstate(), np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def lent_names(checkpoint: Checkpoint, tokenizer: Any) -> dict[str, str]:
    """Name tokenizer and model for tasks that make examples by length in tokens, as lm-eval's own options name them.

    lm-eval trusts the code that lies with a tokenizer: where there is some and nobody allowed it, the names are empty.
    """
    brings_code = getattr(checkpoint.config, "auto_map", None) or "auto_map" in getattr(tokenizer, "init_kwargs", {})
    if brings_code and not checkpoint.spec.trust_remote_code:
        return {"tokenizer": "", "pretrained": ""}
    return {"tokenizer": str(tokenizer.name_or_path), "pretrained": checkpoint.path}
