"""Says what the engine is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.engine.divergence import Divergence


@dataclass(frozen=True)
class Sampling:
    """Says what is drawn from: probabilities at a temperature, of the `top_k` likeliest tokens unless 0.

    Of these the likeliest that make up `top_p`; of these those that are at least `min_p` times as likely as the first.
    """

    temperature: float
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Rule:
    """Says how tokens are chosen, if not the likeliest of all.

    Tokens of the prompt and the output are made less likely by `repetition_penalty`; none of `ends` is among the first
    `at_least` tokens; then a token is drawn, or without `sampling` the likeliest is taken.
    """

    repetition_penalty: float = 1.0
    at_least: int = 0
    ends: frozenset[int] = frozenset()
    sampling: Sampling | None = None


@dataclass(frozen=True)
class Prompt:
    """Holds token ids to continue for `new_tokens`, or along `forced` tokens whose likelihood is wanted.

    Without a `rule` each new token is the likeliest; `seed` names the random numbers of a rule that draws.
    `finished(tokens)` may end a generation early; it sees the tokens so far.
    """

    tokens: tuple[int, ...]
    new_tokens: int = 0
    forced: tuple[int, ...] | None = None
    rule: Rule | None = None
    seed: str = ""
    finished: Callable[[list[int]], bool] | None = field(default=None, compare=False)

    @property
    def steps(self) -> int:
        """Count the tokens to decode, the first of which comes from the prefill's logits."""
        return self.new_tokens if self.forced is None else len(self.forced)


@dataclass
class Output:
    """Holds what one method made of one prompt.

    The tokens, their negative log-likelihoods (nats), whether each was the greedy choice, whether the method ever
    changed an attention output, its share of the decoding time, the share of dense's bytes that its decode steps moved,
    where the method measures it, and the share of query-key pairs that its own prefill computed, if it has one.
    Its `divergence` from dense, where that is asked for and the output has a decode step.
    """

    tokens: list[int] = field(default_factory=list)
    nll: list[float] = field(default_factory=list)
    greedy: list[bool] = field(default_factory=list)
    active: bool = False
    seconds: float = 0.0
    share: float | None = None
    density: float | None = None
    divergence: Divergence | None = None


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Put rows of token ids side by side, left-aligned, padded with 0 (causality hides what follows a row)."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long, device=device)
