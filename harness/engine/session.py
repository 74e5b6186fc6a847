"""A batch being decoded by all branches side by side: greedily, or along forced tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from harness.engine.cache import PromptCache
from harness.engine.decode import Decode
from harness.engine.decode_stream import DecodeStream
from harness.engine.finite import refuse_not_finite
from harness.engine.graph import WORTH, Replay, recorded
from harness.engine.model import Model
from harness.engine.prompt import Answer, Work, padded

LOGIT_BYTES = 1 << 28
"""Of float32 logits in one pass over forced tokens."""


@dataclass
class Session:
    """Some branches decoding a batch side by side; rows are branch-major (branch, then Work)."""

    model: Model
    cache: PromptCache
    branches: list[DecodeStream]
    batch: Sequence[Work]
    answers: list[list[Answer]] = field(init=False)
    _replay: Replay | None = field(default=None, init=False)
    _repeatable: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.answers = [[Answer() for _ in self.batch] for _ in self.branches]

    @torch.inference_mode()
    def generate(self, logits: Tensor, decode_steps: int) -> None:
        """Greedy decoding; the first token comes from the prefill."""
        logits = logits.repeat(len(self.branches), 1)
        for done in range(decode_steps):
            tokens = logits.argmax(-1)
            self._record(logits[:, None], tokens[:, None], done)
            if done + 1 == decode_steps or self._all_finished(done + 1):
                break
            logits = self._forward(tokens[:, None], done, decode_steps)[:, 0]

    @torch.inference_mode()
    def score(self, logits: Tensor, decode_steps: int) -> None:
        """Likelihood of the forced tokens.

        In one pass per chunk, for what a layer sees of them is known; where a step can be replayed, one by one.
        """
        count = len(self.branches)
        forced = padded([work.forced or () for work in self.batch], logits.device).repeat(count, 1)
        self._record(logits.repeat(count, 1)[:, None], forced[:, :1], 0)
        chunk = max(1, LOGIT_BYTES // (len(forced) * logits.shape[1] * 4))
        start = 0
        while start < decode_steps - 1:
            end = min(start + (1 if self._replayable() else chunk), decode_steps - 1)
            self._record(
                self._forward(forced[:, start:end], start, decode_steps), forced[:, start + 1 : end + 1], start + 1
            )
            start = end

    def share_time(self, seconds: float) -> None:
        """Each answer gets its branch's attention time and an equal share of everything else."""
        rest = (seconds - sum(branch.clock.seconds for branch in self.branches)) / len(self.branches)
        for branch, answers in zip(self.branches, self.answers, strict=True):
            for answer, changed_at in zip(answers, branch.changed_at.tolist(), strict=True):
                answer.seconds = (branch.clock.seconds + rest) / len(self.batch)
                answer.active = changed_at < len(answer.tokens) - 1  # step 0 makes the second token

    def _forward(self, tokens: Tensor, done: int, decode_steps: int) -> Tensor:
        """Logits [R, T, V] after feeding tokens [R, T], the done-th and following of every row.

        The first step is launched as it is, which starts every layer and compiles its kernels; the second is recorded.
        """
        column = torch.arange(done, done + tokens.shape[1], device=tokens.device)
        launch = partial(self._launch, done)
        if done == 1 and decode_steps - done > WORTH and self._replayable():
            self._replay = recorded(launch, tokens, column)
            if self._replay is None:
                self._give_up_recording()
        return (self._replay or launch)(tokens, column)

    def _give_up_recording(self) -> None:
        self._repeatable = False
        for branch in self.branches:
            branch.clock.forget()

    def _launch(self, done: int, tokens: Tensor, column: Tensor) -> Tensor:
        mode = Decode(self.branches, done, column)
        positions = self.cache.count.repeat(len(self.branches))[:, None] + column
        logits = self.model.forward(tokens, positions, mode)
        self._repeatable &= not mode.narrowed
        return logits

    def _replayable(self) -> bool:
        """Whether one recorded step can serve all others."""
        return self._repeatable and self.model.replayable and all(branch.kernel for branch in self.branches)

    def _record(self, logits: Tensor, tokens: Tensor, done: int) -> None:
        """Note tokens [R, T] and what the logits [R, T, V] say of them. The one place where decoding waits."""
        likelihood = logits.float().log_softmax(-1).gather(2, tokens[..., None])[..., 0]
        greedy = logits.argmax(-1) == tokens
        rows = zip(tokens.tolist(), likelihood.tolist(), greedy.tolist(), strict=True)
        for branch in self.branches:
            branch.look()
        for (answer, work), (token, score, best) in zip(self._rows(), rows, strict=True):
            decode_steps = max(0, 0 if _is_finished(work, answer) else work.steps - done)
            refuse_not_finite(score[:decode_steps])
            answer.tokens += token[:decode_steps]
            answer.nll += [-s for s in score[:decode_steps]]
            answer.greedy += best[:decode_steps]

    def _rows(self) -> Iterator[tuple[Answer, Work]]:
        for answers in self.answers:
            yield from zip(answers, self.batch, strict=True)

    def _all_finished(self, done: int) -> bool:
        return all(done >= work.steps or _is_finished(work, answer) for answer, work in self._rows())


def _is_finished(work: Work, answer: Answer) -> bool:
    return work.finished is not None and bool(answer.tokens) and work.finished(answer.tokens)
