"""Turns requests into token ids, ready for the engine, and generated tokens into texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.engine import Prompt
from harness.errors import InputError
from harness.evaluation.encoding import Encoding, Pair
from harness.evaluation.endings import Ending
from harness.evaluation.requests import Request
from harness.evaluation.settings import choose_rule
from harness.hf import NOTHING, Generation


@dataclass(frozen=True, kw_only=True)
class TaskPrompt(Prompt):
    """Carries the request that a prompt answers, alone or as one of several windows of a rolling text (`part`).

    `lost` tokens of its text were cut off to make it fit into the model's positions.
    """

    request: Request
    part: int
    lost: int = 0

    @property
    def key(self) -> str:
        """Identify the prompt within a run by the request's hash and the part: the `unit` of outputs.jsonl."""
        return f"{self.request.key}.{self.part}"


def tell_cuts(prompts: Sequence[TaskPrompt], positions: int) -> list[str]:
    """Say in a sentence how many prompts were cut to fit into the model's positions; in none if all fit."""
    lost = [prompt.lost for prompt in prompts if prompt.lost]
    if not lost:
        return []
    return [
        f"{len(lost)} of {len(prompts)} prompts do not fit into the model's {positions} positions beside what follows "
        f"them: their oldest tokens were cut off, {sum(lost) / len(lost):.0f} each in the mean, {max(lost)} at the most"
    ]


class _Fitted(NamedTuple):
    """Holds the tokens of a prompt that fit into the model, and how many do not."""

    tokens: tuple[int, ...]
    lost: int


class Encoder:
    """Turns requests into prompts with a model's own tokenizer, limit on positions, and rules of generation."""

    def __init__(self, tokenizer: Any, max_length: int, generation: Generation = NOTHING) -> None:
        self._tokenizer = tokenizer
        self._encoding = Encoding(tokenizer)
        self._max_length = max_length
        self._generation = generation
        self._ends = generation.ends | {token for token in (tokenizer.eos_token_id,) if token is not None}

    def count(self, text: str) -> int:
        """Count the tokens of a text by itself, without special ones."""
        return len(self._encoding.plain(text))

    def prompts(self, request: Request) -> list[TaskPrompt]:
        """Encode a request. Raises InputError if it cannot fit into the model, or the model's rules be honoured."""
        encode = {"generate": self._generate, "score": self._score, "roll": self._roll}[request.kind]
        return list(encode(request))

    def text(self, request: Request, tokens: list[int]) -> str:
        """Decode generated tokens, cut before the first stop string."""
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=not request.keeps_special))
        return self._ending(request).cut(text)

    def _generate(self, request: Request) -> Iterator[TaskPrompt]:
        new = request.max_new
        if request.length_of:
            new = min(new, request.length_plus + max(map(self.count, request.length_of)))
        tokens, lost = self._fit(request, self._encoding.prompt(request.context), request.reserve or new)
        yield TaskPrompt(
            tokens,
            self._most_new(request, len(tokens), max(1, new)),
            rule=choose_rule(request.settings, self._model_settings(request), self._ends),
            seed=f"{request.seed}/{request.task}/{request.example}/{request.repeat}",
            finished=None if request.length_of else self._ending(request).finished,
            request=request,
            part=0,
            lost=lost,
        )

    def _most_new(self, request: Request, tokens: int, asked: int) -> int:
        """Return how many tokens may follow a prompt: the checkpoint's own number wins, as in lm-eval's hf backend."""
        own: int = self._model_settings(request).get("max_new_tokens", asked)
        if own > asked and tokens + own - 1 > self._max_length:
            raise InputError(
                f"{request.task} example {request.example}: max_new_tokens={own} of the checkpoint's "
                f"generation_config.json does not fit behind {tokens} tokens into {self._max_length} positions: "
                "remove it there, so that the task's own number counts"
            )
        return own

    def _score(self, request: Request) -> Iterator[TaskPrompt]:
        encode = self._encoding.separately if request.separately else self._encoding.together
        context, continuation = encode(request.context, request.continuation)
        if not continuation:
            raise InputError(f"{request.task} example {request.example}: its continuation has no token to score")
        yield self._scored(request, 0, Pair(context, continuation))

    def _roll(self, request: Request) -> Iterator[TaskPrompt]:
        for part, window in enumerate(self._encoding.windows(request.continuation, self._max_length)):
            yield self._scored(request, part, window)

    def _scored(self, request: Request, part: int, pair: Pair) -> TaskPrompt:
        """Make a prompt of a context and the tokens whose likelihood is wanted, the last of which takes no position."""
        reserve = max(request.reserve, len(pair.continuation) - 1)
        tokens, lost = self._fit(request, pair.context, reserve)
        return TaskPrompt(tokens, forced=tuple(pair.continuation), request=request, part=part, lost=lost)

    def _fit(self, request: Request, tokens: list[int], reserve: int) -> _Fitted:
        """Keep the last tokens of a prompt that leave `reserve` positions free.

        Where special tokens are kept, the start token is kept with them.
        """
        room = self._max_length - reserve
        if room < 1:
            raise InputError(
                f"{request.task} example {request.example} needs {reserve} positions after its prompt, the model has "
                f"{self._max_length}: ask for fewer tokens or raise model.max_length"
            )
        lost = max(0, len(tokens) - room)
        start = lost and request.keeps_special and tokens[0] == self._tokenizer.bos_token_id
        kept = [tokens[0], *tokens[lost + 1 :]] if start else tokens[lost:]
        return _Fitted(tuple(kept), lost)

    def _model_settings(self, request: Request) -> Mapping[str, Any]:
        """Return the checkpoint's settings of generation, which do not concern a task that fixes the length itself."""
        return {} if request.length_of else self._generation.settings

    def _ending(self, request: Request) -> Ending:
        """Say where a generation ends: the text of the tokenizer's end of text is a stop string too, as in lm-eval."""
        end = self._tokenizer.eos_token_id
        text = "" if end is None or request.length_of else self._tokenizer.decode([end])
        return Ending(self._tokenizer, self._ends, (*request.until, text) if text else request.until)
