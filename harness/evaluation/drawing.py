"""Seeds what tasks draw their examples with."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED


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
