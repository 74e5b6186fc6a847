"""Decodes a batch under all methods side by side, freely or along forced tokens, and notes what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.engine.choosing import Chooser
from harness.engine.decode import DecodeStream
from harness.engine.finite import check_finite
from harness.engine.launch import Launcher
from harness.engine.model import Model
from harness.engine.prompt import Output, Prompt, padded

LOGIT_BYTES = 1 << 28
"""Bytes of float32 logits in one pass over forced tokens."""


class Session:
    """Decodes prompts under several streams; rows are stream-major (stream, then prompt), as are the outputs."""

    def __init__(self, model: Model, streams: Sequence[DecodeStream], batch: Sequence[Prompt]) -> None:
        self.outputs = [[Output() for _ in batch] for _ in streams]
        self._ended = [False] * (len(streams) * len(batch))
        self._streams = streams
        self._batch = batch
        self._steps = streams[0].cache.decode_steps
        self._launcher = Launcher(model, streams)

    @torch.inference_mode()
    def generate(self, logits: Tensor) -> None:
        """Decode as each prompt's rule says; the first token comes from the prefill's logits [B, V]."""
        chooser = Chooser(self._batch, len(self._streams), logits.shape[1], logits.device)
        logits = logits.repeat(len(self._streams), 1)
        for done in range(self._steps):
            tokens = chooser.choose(logits, done)
            self._note(logits[:, None], tokens[:, None], done)
            if done + 1 == self._steps or self._all_finished(done + 1):
                break
            logits = self._launcher.forward(tokens[:, None], done)[:, 0]

    @torch.inference_mode()
    def score(self, logits: Tensor) -> None:
        """Decode the forced tokens, the first of which the prefill's logits [B, V] predict.

        A pass takes as many as LOGIT_BYTES hold, for what a layer sees of them is known; where a step can be replayed,
        it takes one.
        """
        count = len(self._streams)
        forced = padded([prompt.forced or () for prompt in self._batch], logits.device).repeat(count, 1)
        self._note(logits.repeat(count, 1)[:, None], forced[:, :1], 0)
        chunk = max(1, LOGIT_BYTES // (len(forced) * logits.shape[1] * 4))
        start = 0
        while start < self._steps - 1:
            end = min(start + (1 if self._launcher.replayable else chunk), self._steps - 1)
            predicted = self._launcher.forward(forced[:, start:end], start)
            self._note(predicted, forced[:, start + 1 : end + 1], start + 1)
            start = end

    def share_time(self, seconds: float) -> None:
        """Charge each output with its stream's attention time and an equal share of all other time."""
        rest = (seconds - sum(stream.clock.seconds for stream in self._streams)) / len(self._streams)
        for stream, outputs in zip(self._streams, self.outputs, strict=True):
            for output in outputs:
                output.seconds = (stream.clock.seconds + rest) / len(self._batch)

    def note_activity(self) -> None:
        """Note the outputs in which the method changed the attention of a step that made one of its tokens."""
        for stream, outputs in zip(self._streams, self.outputs, strict=True):
            for output, changed_at in zip(outputs, stream.activity.changed_at(), strict=True):
                output.active = changed_at < len(output.tokens) - 1  # step 0 makes the second token

    def note_prefill(self, densities: Sequence[float] | None, reweighed: bool) -> None:
        """Note what share of query-key pairs each prompt's prefill computed; what left some out is active.

        So is what ran with other weights, `reweighed`.
        """
        for outputs in self.outputs:
            for i, output in enumerate(outputs):
                output.density = densities[i] if densities else None
                output.active |= reweighed or (output.density is not None and output.density < 1)

    def note_measured(self) -> None:
        """Note what share of dense's bytes each output took, where the method measured it."""
        for stream, outputs in zip(self._streams, self.outputs, strict=True):
            if stream.measured is not None:
                shares = stream.measured.shares([len(output.tokens) - 1 for output in outputs])
                for output, share in zip(outputs, shares, strict=True):
                    output.share = share

    def _note(self, logits: Tensor, tokens: Tensor, done: int) -> None:
        """Note tokens [R, T] and what the logits [R, T, V] say of them, which waits for the device.

        Raises NotFiniteError.
        """
        likelihood = logits.float().log_softmax(-1).gather(2, tokens[..., None])[..., 0]
        greedy = logits.argmax(-1) == tokens
        rows = zip(tokens.tolist(), likelihood.tolist(), greedy.tolist(), strict=True)
        for stream in self._streams:
            stream.clock.read()
            stream.activity.read()
        for i, ((output, prompt), (token, score, best)) in enumerate(zip(self._rows(), rows, strict=True)):
            count = 0 if self._ended[i] else max(0, prompt.steps - done)
            check_finite(score[:count])
            output.tokens += token[:count]
            output.nll += [-s for s in score[:count]]
            output.greedy += best[:count]
            if count and prompt.finished is not None:
                self._ended[i] = prompt.finished(output.tokens)

    def _rows(self) -> Iterator[tuple[Output, Prompt]]:
        for outputs in self.outputs:
            yield from zip(outputs, self._batch, strict=True)

    def _all_finished(self, done: int) -> bool:
        prompts = (prompt for _, prompt in self._rows())
        return all(ended or done >= prompt.steps for ended, prompt in zip(self._ended, prompts, strict=True))
