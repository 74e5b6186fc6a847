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
from harness.engine.graph import WORTH, Replay, Step, recorded
from harness.engine.model import Model
from harness.engine.prompt import Output, Prompt, padded

LOGIT_BYTES = 1 << 28
"""Of float32 logits in one pass over forced tokens."""


@dataclass
class Session:
    """Some branches decoding a batch side by side; rows are branch-major (branch, then Prompt)."""

    model: Model
    cache: PromptCache
    branches: list[DecodeStream]
    batch: Sequence[Prompt]
    outputs: list[list[Output]] = field(init=False)
    _replay: Replay | None = field(default=None, init=False)
    _comparing: int = field(default=0, init=False)
    _repeatable: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.outputs = [[Output() for _ in self.batch] for _ in self.branches]

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
        forced = padded([prompt.forced or () for prompt in self.batch], logits.device).repeat(count, 1)
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
        """Each output gets its branch's attention time and an equal share of everything else."""
        rest = (seconds - sum(branch.clock.seconds for branch in self.branches)) / len(self.branches)
        for branch, outputs in zip(self.branches, self.outputs, strict=True):
            for output, changed_at in zip(outputs, branch.changed_at.tolist(), strict=True):
                output.seconds = (branch.clock.seconds + rest) / len(self.batch)
                output.active = changed_at < len(output.tokens) - 1  # step 0 makes the second token

    def _forward(self, tokens: Tensor, done: int, decode_steps: int) -> Tensor:
        """Logits [R, T, V] after feeding tokens [R, T], the done-th and following of every row.

        The first step is launched as it is, which starts every layer and compiles its kernels; the second is recorded.
        """
        column = torch.arange(done, done + tokens.shape[1], device=tokens.device)
        launch = partial(self._launch, done)
        if done and decode_steps - done > WORTH and self._replayable() and self._is_outdated(done):
            self._record_graph(launch, done, tokens, column)
        return (self._replay or launch)(tokens, column)

    def _is_outdated(self, done: int) -> bool:
        """Return True if nothing is recorded, or if half of the streams that it compares with dense have changed."""
        left = self._count_comparing(done)
        return self._replay is None or (left < self._comparing and 2 * left <= self._comparing)

    def _record_graph(self, launch: Step, done: int, tokens: Tensor, column: Tensor) -> None:
        self._replay, self._comparing = None, self._count_comparing(done)
        self._forget_recorded_clocks()
        self._replay = recorded(launch, tokens, column)
        if self._replay is None:
            self._repeatable = False
            self._forget_recorded_clocks()

    def _forget_recorded_clocks(self) -> None:
        for branch in self.branches:
            branch.clock.forget()

    def _count_comparing(self, done: int) -> int:
        return sum(branch.compares(done) for branch in self.branches)

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
            branch.read_device()
        for (output, prompt), (token, score, best) in zip(self._rows(), rows, strict=True):
            decode_steps = max(0, 0 if _is_finished(prompt, output) else prompt.steps - done)
            refuse_not_finite(score[:decode_steps])
            output.tokens += token[:decode_steps]
            output.nll += [-s for s in score[:decode_steps]]
            output.greedy += best[:decode_steps]

    def _rows(self) -> Iterator[tuple[Output, Prompt]]:
        for outputs in self.outputs:
            yield from zip(outputs, self.batch, strict=True)

    def _all_finished(self, done: int) -> bool:
        return all(done >= prompt.steps or _is_finished(prompt, output) for output, prompt in self._rows())


def _is_finished(prompt: Prompt, output: Output) -> bool:
    return prompt.finished is not None and bool(output.tokens) and prompt.finished(output.tokens)
