"""Tries a model's kind out, before weights: a small copy decodes through the engine and through its own attention.

What a configuration and one pass say of an architecture may miss something: a count of columns where positions are
meant, a host's read of the longest row, a mask of its own. Here the numbers themselves are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from harness.engine import Engine, Prompt
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.refusals import unsupported
from harness.hf.shrink import VOCABULARY, shrunken
from harness.hf.vetting.building import MOST_MODULES, MOST_NUMBERS_OF_COPY, bounded
from harness.methods.controls.dense import Dense

PROMPTS = tuple(tuple((i * i + 7 * i + n) % (VOCABULARY - 2) + 2 for i in range(n)) for n in (23, 5))
"""Of such lengths that one passes every short length of the copy, also while it is decoded, and the other none."""
STEPS = 4
TOLERANCE = 1e-4
"""Largest difference (nats) of log-likelihoods in float64: rotary embeddings are float32, which leaves 1e-5."""


@dataclass(frozen=True)
class _Kind:
    """Holds a configuration, told from others by its text."""

    text: str
    trust_remote_code: bool
    config: Any = field(compare=False)


def takes_mixed_lengths(name: str, config: Any, trust_remote_code: bool = False) -> bool:
    """Say if rows of different lengths may share a pass of such a model; False if only rows of one length are right.

    Raises InputError, naming the architecture, if even then its numbers are not those of its own attention.
    """
    with unsupported(name, config, "a small copy of it fails in a batch"):
        return _takes_mixed_lengths(_Kind(config.to_json_string(), trust_remote_code, config))


@cache
def _takes_mixed_lengths(kind: _Kind) -> bool:
    copy = _small_copy(kind)
    engine = Engine(Bridge(copy.model))
    if copy.distance(engine, PROMPTS) < TOLERANCE:
        return True
    distance = max(copy.distance(engine, [prompt]) for prompt in PROMPTS)
    if distance < TOLERANCE:
        return False
    raise InputError(f"a small copy of it decodes {distance:.2g} nats apart from transformers' own attention")


@dataclass(frozen=True)
class _Copy:
    """Holds a small model and what its own attention says of each prompt and its forced tokens, [STEPS] each."""

    model: Any
    said: dict[tuple[int, ...], list[float]]

    def distance(self, engine: Engine, prompts: Sequence[tuple[int, ...]]) -> float:
        """Measure how far off the engine is, in a batch of these prompts."""
        (outputs,) = engine.run([Prompt(prompt, forced=_forced(prompt)) for prompt in prompts], [Dense()])
        rows = zip(prompts, outputs, strict=True)
        apart = [abs(a - b) for p, out in rows for a, b in zip(self.said[p], out.nll, strict=True)]
        return max(apart)


def _small_copy(kind: _Kind) -> _Copy:
    """Make the model and ask it with its own attention. Raises what the last attempt raises."""
    failure: Exception | None = None
    for narrow in (True, False):
        try:
            model = random_copy(shrunken(kind.config, narrow), torch.float64, kind.trust_remote_code)
            return _Copy(model, {prompt: _asked(model, prompt) for prompt in PROMPTS})
        except Exception as error:  # widths that do not fit together
            failure = error
    raise InputError(f"no small copy of it runs, which would be compared with its own attention: {failure}")


def random_copy(config: Any, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    """Make a model with random weights, the same for the same configuration; first without memory for them.

    Raises InputError if its configuration leaves it large.
    """
    given = {"attn_implementation": "eager", "dtype": dtype, "trust_remote_code": trust_remote_code}
    with torch.device("meta"), bounded(MOST_NUMBERS_OF_COPY, None if trust_remote_code else MOST_MODULES):
        AutoModelForCausalLM.from_config(deepcopy(config), **given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, **given).eval().requires_grad_(False)


@torch.inference_mode()
def _asked(model: Any, prompt: tuple[int, ...]) -> list[float]:
    """Return the negative log-likelihoods of the forced tokens in one pass over one row without a cache."""
    forced = _forced(prompt)
    logits = model(torch.tensor([prompt + forced]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    likelihood = logits.log_softmax(-1)
    return [-float(likelihood[i, token]) for i, token in enumerate(forced)]


def _forced(prompt: tuple[int, ...]) -> tuple[int, ...]:
    return prompt[:STEPS]
