"""Turns requests into token ids, ready for the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.engine import Prompt
from harness.errors import InputError
from harness.evaluation.requests import Request


@dataclass(frozen=True, kw_only=True)
class TaskPrompt(Prompt):
    """Carries the request that a prompt answers, alone or as one of several windows of a rolling text (`part`)."""

    request: Request
    part: int

    @property
    def key(self) -> str:
        """Identify the prompt within a run by the request's hash and the part: the `unit` of outputs.jsonl."""
        return f"{self.request.key}.{self.part}"


class Encoder:
    """Turns requests into prompts with a model's own tokenizer and limit on positions."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length

    def count(self, text: str) -> int:
        """Count the tokens of a text by itself, without special ones."""
        return len(self._plain(text))

    def prompts(self, request: Request) -> list[TaskPrompt]:
        """Encode a request. Raises InputError if it cannot fit into the model."""
        encode = {"generate": self._generate, "score": self._score, "roll": self._roll}[request.kind]
        return [TaskPrompt(**vars(prompt), request=request, part=part) for part, prompt in enumerate(encode(request))]

    def text(self, request: Request, tokens: list[int]) -> str:
        """Decode generated tokens, cut before the first stop string."""
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        return text[: min((text.index(stop) for stop in request.until if stop in text), default=len(text))]

    def _generate(self, request: Request) -> list[Prompt]:
        new = request.max_new
        if request.length_of:
            new = min(new, request.length_plus + max(map(self.count, request.length_of)))
        tokens = self._cut(request, self._start(request.context), request.reserve or new)
        finished = None if request.length_of else self._stopper(request)
        return [Prompt(tokens, new_tokens=max(1, new), finished=finished)]

    def _score(self, request: Request) -> list[Prompt]:
        context, continuation = request.context, request.continuation
        if request.separately:
            tokens, forced = self._start(context), self._plain(continuation)
        else:
            spaces = len(context) - len(context.rstrip())
            context, continuation = context[: len(context) - spaces], context[len(context) - spaces :] + continuation
            tokens = self._start(context)
            forced = self._start(context + continuation)[len(tokens) :] if context else self._plain(continuation)
        if not forced:
            raise InputError(f"{request.task} example {request.example}: its continuation has no token to score")
        return [Prompt(self._cut(request, tokens, max(request.reserve, len(forced))), forced=tuple(forced))]

    def _roll(self, request: Request) -> list[Prompt]:
        """Cut a text into disjoint windows, each with one token of context, as far as the positions reach."""
        tokens = [*self._start("")[:1], *self._plain(request.continuation)]
        size = self._max_length - 1
        windows = range(0, max(1, len(tokens) - 1), size)
        return [Prompt(tuple(tokens[i : i + 1]), forced=tuple(tokens[i + 1 : i + 1 + size])) for i in windows]

    def _start(self, text: str) -> list[int]:
        """Encode a text with the tokenizer's own special tokens; never empty."""
        ids = list(self._tokenizer(_encodable(text)).input_ids) if text else []
        start = self._tokenizer.bos_token_id
        return ids or [self._tokenizer.eos_token_id if start is None else start]

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(_encodable(text), add_special_tokens=False).input_ids)

    def _cut(self, request: Request, tokens: list[int], reserve: int) -> tuple[int, ...]:
        """Keep the last tokens of a prompt that leave `reserve` positions free."""
        longest = self._max_length - reserve
        if longest < 1:
            raise InputError(
                f"{request.task} example {request.example} needs {reserve} positions after its prompt, the model has "
                f"{self._max_length}: ask for fewer tokens or raise model.max_length"
            )
        return tuple(tokens[-longest:])

    def _stopper(self, request: Request) -> Callable[[list[int]], bool]:
        end = self._tokenizer.eos_token_id

        def finished(tokens: list[int]) -> bool:
            if tokens[-1] == end:
                return True
            return bool(request.until) and any(stop in self._tokenizer.decode(tokens) for stop in request.until)

        return finished


def _encodable(text: Any) -> str:
    """Replace halves of surrogate pairs, which JSON may hold and tokenizers refuse, by question marks."""
    if not isinstance(text, str):
        raise InputError(f"{text!r:.60} stands in the data where the task wants a text")
    return text.encode("utf-8", "replace").decode("utf-8")
