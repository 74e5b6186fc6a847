"""Chooses the next token of every row: the likeliest, or as a rule says. Methods share the random numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.engine.prompt import Prompt, Rule, Sampling

BITS = 48
"""Bits of a random number: few enough that a product with a float64 sum stays below the sum."""
ELEMENTS = 1 << 22
"""Logits that are filtered at once: sorting them takes several times their memory."""


def uniform(seed: str, step: int) -> float:
    """Return the random number in [0, 1) of one step of one stream of them, the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{step}".encode()).digest()
    return float(int.from_bytes(digest[: BITS // 8], "big") / (1 << BITS))


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens less likely that a row has `seen`, both [R, V] (arXiv 1909.05858, section 4.1)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the probabilities [R, V] to draw from, 0 for what the sampling leaves out; logits [R, V] in float32."""
    scores = logits / sampling.temperature
    if sampling.top_k:
        least = scores.topk(min(sampling.top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.top_p < 1:
        ascending, order = scores.sort()
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        drop[:, -1] = False
        scores = scores.masked_fill(torch.zeros_like(drop).scatter(1, order, drop), -torch.inf)
    if sampling.min_p:
        probabilities = scores.softmax(-1)
        least = sampling.min_p * probabilities.amax(-1, keepdim=True)
        scores = scores.masked_fill(probabilities < least, -torch.inf)
    return scores.softmax(-1)


def draw(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """Return the first token of each row [R, V] up to which probabilities sum to more than its number [R] in [0, 1)."""
    sums = probabilities.to(numbers.dtype).cumsum(-1)
    found = torch.searchsorted(sums, numbers[:, None] * sums[:, -1:], right=True)[:, 0]
    return found.clamp(max=sums.shape[1] - 1)  # of probabilities that are no numbers, which are refused later


class Chooser:
    """Chooses for rows in stream-major order (stream, then prompt)."""

    def __init__(self, batch: Sequence[Prompt], streams: int, vocabulary: int, device: torch.device) -> None:
        alike: dict[Rule, list[int]] = defaultdict(list)
        for i, prompt in enumerate(batch):
            if prompt.rule is not None:
                alike[prompt.rule].append(i)
        self._groups = [
            _Group(
                rule,
                [batch[i] for i in own],
                [s * len(batch) + i for s in range(streams) for i in own],
                vocabulary,
                device,
            )
            for rule, own in alike.items()
        ]

    def choose(self, logits: Tensor, done: int) -> Tensor:
        """Choose the tokens [R] of step `done` from logits [R, V]."""
        tokens = logits.argmax(-1)
        for group in self._groups:
            tokens[group.rows] = group.choose(logits[group.rows].float(), done)
        return tokens


class _Group:
    """Chooses for the rows of prompts that share a rule."""

    def __init__(
        self, rule: Rule, prompts: Sequence[Prompt], rows: Sequence[int], vocabulary: int, device: torch.device
    ) -> None:
        self.rows = torch.tensor(rows, device=device)
        self._rule = rule
        self._seeds = [prompt.seed for prompt in prompts]
        self._copies = len(rows) // len(prompts)
        self._ends = torch.tensor(
            [end for end in sorted(rule.ends) if end < vocabulary], dtype=torch.long, device=device
        )
        self._seen: Tensor | None = None
        if rule.repetition_penalty != 1:
            self._seen = torch.zeros(len(rows), vocabulary, dtype=torch.bool, device=device)
            for i in range(len(rows)):
                self._seen[i, torch.tensor(prompts[i % len(prompts)].tokens, device=device)] = True

    def choose(self, logits: Tensor, done: int) -> Tensor:
        """Choose the tokens [N] of step `done` from logits [N, V] in float32."""
        if self._seen is not None:
            logits = penalised(logits, self._seen, self._rule.repetition_penalty)
        if done < self._rule.at_least:
            logits = logits.index_fill(1, self._ends, -torch.inf)
        tokens = logits.argmax(-1) if self._rule.sampling is None else self._draw(logits, self._rule.sampling, done)
        if self._seen is not None:
            self._seen.scatter_(1, tokens[:, None], True)
        return tokens

    def _draw(self, logits: Tensor, sampling: Sampling, done: int) -> Tensor:
        precise = torch.float32 if logits.device.type == "mps" else torch.float64
        numbers = torch.tensor([uniform(seed, done) for seed in self._seeds], dtype=precise, device=logits.device)
        rows = max(1, ELEMENTS // logits.shape[1])
        parts = zip(torch.split(logits, rows), torch.split(numbers.repeat(self._copies), rows), strict=True)
        return torch.cat([draw(filtered(part, sampling), of_part) for part, of_part in parts])
