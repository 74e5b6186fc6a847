"""What a task asks of a model, in text; and the same as token ids, ready for the engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.engine import Work
from harness.errors import InputError

Kind = Literal["generate", "score", "roll"]


@dataclass(frozen=True)
class Request:
    """One question to the model.

    generate: continue `context` greedily, at most `max_new` tokens, until a string of `until` or the end of text. With
    `length_of`, exactly as many tokens as the longest of these texts has, plus `length_plus`, and nothing stops it.
    score: likelihood of `continuation` after `context`, tokenised `separately` or together. roll: likelihood of
    `continuation` from the start of text. `reserve` positions of the model are kept free when a prompt is cut. `target`
    and `labels` (columns of the example's rows) are for readers: the answer does not depend on them.
    """

    task: str
    example: str
    kind: Kind
    context: str = ""
    continuation: str = ""
    max_new: int = 0
    until: tuple[str, ...] = ()
    length_of: tuple[str, ...] = ()
    length_plus: int = 0
    separately: bool = False
    reserve: int = 0
    target: str = field(default="", compare=False)
    labels: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """Hash of all that the answer depends on, apart from model and method."""
        asked = {name: value for name, value in asdict(self).items() if name not in ("target", "labels")}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Unit:
    """A piece of Work that answers a request, or one window of a rolling one."""

    request: Request
    part: int
    work: Work

    @property
    def key(self) -> str:
        """Identifies the unit within a run: the request's hash and the part."""
        return f"{self.request.key}.{self.part}"


class Encoder:
    """Turns requests into Work with a model's own tokenizer and limit on positions."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length

    def count(self, text: str) -> int:
        """Tokens of a text by itself, without special ones."""
        return len(self._plain(text))

    def units(self, request: Request) -> list[Unit]:
        """The Work of a request. Raises InputError if it cannot fit into the model."""
        encode = {"generate": self._generate, "score": self._score, "roll": self._roll}[request.kind]
        return [Unit(request, part, work) for part, work in enumerate(encode(request))]

    def text(self, request: Request, tokens: list[int]) -> str:
        """Generated text, cut before the first stop string."""
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        return text[: min((text.index(stop) for stop in request.until if stop in text), default=len(text))]

    def _generate(self, request: Request) -> list[Work]:
        new = request.max_new
        if request.length_of:
            new = min(new, request.length_plus + max(map(self.count, request.length_of)))
        prompt = self._cut(request, self._prompt(request.context), request.reserve or new)
        finished = None if request.length_of else self._stopper(request)
        return [Work(prompt, new_tokens=max(1, new), finished=finished)]

    def _score(self, request: Request) -> list[Work]:
        context, continuation = request.context, request.continuation
        if request.separately:
            prompt, forced = self._prompt(context), self._plain(continuation)
        else:
            spaces = len(context) - len(context.rstrip())
            context, continuation = context[: len(context) - spaces], context[len(context) - spaces :] + continuation
            prompt = self._prompt(context)
            forced = self._prompt(context + continuation)[len(prompt) :] if context else self._plain(continuation)
        if not forced:
            raise InputError(f"{request.task} example {request.example}: its continuation has no token to score")
        return [Work(self._cut(request, prompt, max(request.reserve, len(forced))), forced=tuple(forced))]

    def _roll(self, request: Request) -> list[Work]:
        """Disjoint windows, each with one token of context, as far as the positions reach."""
        tokens = [*self._prompt("")[:1], *self._plain(request.continuation)]
        size = self._max_length - 1
        windows = range(0, max(1, len(tokens) - 1), size)
        return [Work(tuple(tokens[i : i + 1]), forced=tuple(tokens[i + 1 : i + 1 + size])) for i in windows]

    def _prompt(self, text: str) -> list[int]:
        """Token ids with the tokenizer's own special tokens; never empty."""
        ids = list(self._tokenizer(_encodable(text)).input_ids) if text else []
        start = self._tokenizer.bos_token_id
        return ids or [self._tokenizer.eos_token_id if start is None else start]

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(_encodable(text), add_special_tokens=False).input_ids)

    def _cut(self, request: Request, prompt: list[int], reserve: int) -> tuple[int, ...]:
        """The last tokens of the prompt that leave `reserve` positions free."""
        room = self._max_length - reserve
        if room < 1:
            raise InputError(
                f"{request.task} example {request.example} needs {reserve} positions after its prompt, the model has "
                f"{self._max_length}: ask for fewer tokens or raise model.max_length"
            )
        return tuple(prompt[-room:])

    def _stopper(self, request: Request) -> Callable[[list[int]], bool]:
        end = self._tokenizer.eos_token_id

        def finished(tokens: list[int]) -> bool:
            if tokens[-1] == end:
                return True
            return bool(request.until) and any(stop in self._tokenizer.decode(tokens) for stop in request.until)

        return finished


def _encodable(text: Any) -> str:
    """Halves of surrogate pairs, which JSON may hold and tokenizers refuse, become question marks."""
    if not isinstance(text, str):
        raise InputError(f"{text!r:.60} stands in the data where the task wants a text")
    return text.encode("utf-8", "replace").decode("utf-8")
