"""Prefill a batch of prompts once, then generate or score under every method."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.engine.bridge import Bridge
from harness.engine.cache import PromptCache
from harness.engine.decode import Branch, Decode
from harness.engine.finite import NotFiniteError, Watch, refuse_not_finite
from harness.engine.prefill import Prefill
from harness.kernels.accelerate import Kernel, accelerated
from harness.methods import Method

LOGIT_BYTES = 1 << 28


@dataclass(frozen=True)
class Work:
    """One prompt to continue: greedily for `new_tokens`, or along `forced` tokens whose likelihood is wanted.

    `finished(tokens)` may end a generation early; it sees the tokens so far.
    """

    prompt: tuple[int, ...]
    new_tokens: int = 0
    forced: tuple[int, ...] | None = None
    finished: Callable[[list[int]], bool] | None = field(default=None, compare=False)

    @property
    def steps(self) -> int:
        """Tokens to decode, the first of which comes from the prefill's logits."""
        return self.new_tokens if self.forced is None else len(self.forced)


@dataclass
class Answer:
    """What one method made of one Work.

    The tokens, their negative log-likelihoods (nats), whether each was the greedy choice, whether the method ever
    changed an attention output, and its share of the decoding time.
    """

    tokens: list[int] = field(default_factory=list)
    nll: list[float] = field(default_factory=list)
    greedy: list[bool] = field(default_factory=list)
    active: bool = False
    seconds: float = 0.0


class Engine:
    """Runs batches of Work through a model.

    `prefill_tokens` bounds one prefill pass, padding included; `kernel` chooses between torch and Triton for the
    methods' attention ("auto": Triton where it can serve them).
    """

    def __init__(self, model: Any, prefill_tokens: int = 2048, kernel: Kernel = "auto") -> None:
        self._bridge: Bridge | Watch = Bridge(model)
        self._kernel: Kernel = kernel
        self._prefill_tokens = prefill_tokens
        self.prefills = 0

    def run(self, batch: Sequence[Work], methods: Sequence[Method[Any]]) -> list[list[Answer]]:
        """Answers by method, then by Work. All of a batch generate, or all are forced.

        Raises NotFiniteError when logits are NaN or infinite.
        """
        answers: list[list[Answer] | None] = [None] * len(methods)
        for group in _by_prefill(methods):
            chosen = [methods[i] for i in group]
            for i, answer in zip(group, self._run_group(batch, chosen), strict=True):
                answers[i] = answer
        return [a for a in answers if a is not None]

    def locate(self, work: Work, method: Method[Any]) -> str:
        """Where the first number that is not finite appears when the method does the work, in words."""
        watched, watch = copy.copy(self), Watch(self._bridge)
        watched._bridge = watch
        with contextlib.suppress(NotFiniteError):
            watched.run([work], [method])
        return watch.place

    def _run_group(self, batch: Sequence[Work], methods: list[Method[Any]]) -> list[list[Answer]]:
        room = max(work.steps for work in batch)
        cache, logits = self._prefill(batch, methods, room)
        device, capped = self._bridge.device, self._bridge.capped
        branches = [Branch.of(accelerated(m, self._kernel, device, capped), cache) for m in methods]
        session = _Session(self._bridge, cache, branches, batch)
        begin = time.perf_counter()
        if batch[0].forced is None:
            session.generate(logits, room)
        else:
            session.score(logits, room)
        session.share_time(time.perf_counter() - begin)
        return session.answers

    def _prefill(self, batch: Sequence[Work], methods: list[Method[Any]], room: int) -> tuple[PromptCache, Tensor]:
        """The filled cache and the logits [B, V] of every prompt's last token."""
        device = self._bridge.device
        lengths = [len(work.prompt) for work in batch]
        cache = PromptCache(lengths, room, device)
        observes = frozenset().union(*(m.observes for m in methods))
        mask = methods[0].prefill_mask(max(lengths))
        pattern = None if mask is None else mask.to(device)
        rows_per_pass = max(1, self._prefill_tokens // max(lengths))
        logits = []
        for start in range(0, len(batch), rows_per_pass):
            rows = slice(start, min(start + rows_per_pass, len(batch)))
            tokens = _padded([work.prompt for work in batch[rows]], device)
            positions = torch.arange(tokens.shape[1], device=device).expand_as(tokens)
            phase = Prefill(cache, rows, observes, pattern)
            logits.append(self._bridge.forward(tokens, positions, phase, cache.count[rows] - 1)[:, 0])
            self.prefills += len(tokens)
        return cache, torch.cat(logits)


@dataclass
class _Session:
    """Some branches decoding a batch side by side; rows are branch-major (branch, then Work)."""

    bridge: Bridge | Watch
    cache: PromptCache
    branches: list[Branch]
    batch: Sequence[Work]
    answers: list[list[Answer]] = field(init=False)

    def __post_init__(self) -> None:
        self.answers = [[Answer() for _ in self.batch] for _ in self.branches]

    @torch.inference_mode()
    def generate(self, logits: Tensor, room: int) -> None:
        """Greedy decoding; the first token comes from the prefill."""
        logits = logits.repeat(len(self.branches), 1)
        for done in range(room):
            tokens = logits.argmax(-1)
            self._record(logits[:, None], tokens[:, None], done)
            if done + 1 == room or self._all_finished(done + 1):
                break
            logits = self._forward(tokens[:, None], done)[:, 0]

    @torch.inference_mode()
    def score(self, logits: Tensor, room: int) -> None:
        """Likelihood of the forced tokens, decoded in one pass per chunk: what a layer sees of them is known."""
        count = len(self.branches)
        forced = _padded([work.forced or () for work in self.batch], logits.device).repeat(count, 1)
        self._record(logits.repeat(count, 1)[:, None], forced[:, :1], 0)
        chunk = max(1, LOGIT_BYTES // (len(forced) * logits.shape[1] * 4))
        for start in range(0, room - 1, chunk):
            end = min(start + chunk, room - 1)
            self._record(self._forward(forced[:, start:end], start), forced[:, start + 1 : end + 1], start + 1)

    def share_time(self, seconds: float) -> None:
        """Each answer gets its branch's attention time and an equal share of everything else."""
        rest = (seconds - sum(branch.seconds for branch in self.branches)) / len(self.branches)
        for branch, answers in zip(self.branches, self.answers, strict=True):
            for answer, changed_at in zip(answers, branch.changed_at.tolist(), strict=True):
                answer.seconds = (branch.seconds + rest) / len(self.batch)
                answer.active = changed_at < len(answer.tokens) - 1  # step 0 makes the second token

    def _forward(self, tokens: Tensor, done: int) -> Tensor:
        """Logits [R, T, V] after feeding tokens [R, T], the done-th and following of every row."""
        after = self.cache.count.repeat(len(self.branches))[:, None] + done
        positions = after + torch.arange(tokens.shape[1], device=tokens.device)
        return self.bridge.forward(tokens, positions, Decode(self.branches, done))

    def _record(self, logits: Tensor, tokens: Tensor, done: int) -> None:
        """Note tokens [R, T] and what the logits [R, T, V] say of them. The one place where decoding waits."""
        likelihood = logits.float().log_softmax(-1).gather(2, tokens[..., None])[..., 0]
        greedy = logits.argmax(-1) == tokens
        rows = zip(tokens.tolist(), likelihood.tolist(), greedy.tolist(), strict=True)
        for (answer, work), (token, score, best) in zip(self._rows(), rows, strict=True):
            room = max(0, 0 if _is_finished(work, answer) else work.steps - done)
            refuse_not_finite(score[:room])
            answer.tokens += token[:room]
            answer.nll += [-s for s in score[:room]]
            answer.greedy += best[:room]

    def _rows(self) -> Iterator[tuple[Answer, Work]]:
        for answers in self.answers:
            yield from zip(answers, self.batch, strict=True)

    def _all_finished(self, done: int) -> bool:
        return all(done >= work.steps or _is_finished(work, answer) for answer, work in self._rows())


def _is_finished(work: Work, answer: Answer) -> bool:
    return work.finished is not None and bool(answer.tokens) and work.finished(answer.tokens)


def _by_prefill(methods: Sequence[Method[Any]]) -> list[list[int]]:
    """Indices of methods that share a prefill: all dense ones, and each that masks the prompt by itself."""
    shared = [i for i, m in enumerate(methods) if m.prefill_mask(1) is None]
    return ([shared] if shared else []) + [[i] for i, m in enumerate(methods) if m.prefill_mask(1) is not None]


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Rows of token ids, left-aligned, padded with 0 (never seen: causality hides what follows a row)."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long, device=device)
