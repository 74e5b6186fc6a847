"""Turns texts into token ids as lm-eval's hf backend does: special tokens are the tokenizer's own, none is doubled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from harness.errors import InputError, first_line, is_panic


class Pair(NamedTuple):
    """Holds a context and the tokens that follow it."""

    context: list[int]
    continuation: list[int]


class Encoding:
    """Encodes texts with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def plain(self, text: str) -> list[int]:
        """Encode a text without special tokens."""
        return self._ids(_encodable(text), add_special_tokens=False)

    def prompt(self, text: str) -> list[int]:
        """Encode a text to be continued, with special tokens unless it begins with the start token; never empty."""
        return self._special(text, getattr(self._tokenizer, "bos_token", None)) or [self._first("an empty prompt")]

    def together(self, context: str, continuation: str) -> Pair:
        """Encode a context with its continuation, which is what the whole has more than the context.

        Spaces at the context's end belong to the continuation.
        """
        if not context:
            return self._from_start(self.plain(continuation))
        whole, before = self._text(context + continuation), self._text(context.rstrip())
        return Pair(before or [self._first("an empty context")], whole[len(before) :])

    def separately(self, context: str, continuation: str) -> Pair:
        """Encode a context as a prompt, and its continuation by itself."""
        return Pair(self.prompt(context), self.plain(continuation))

    def windows(self, text: str, positions: int) -> Iterator[Pair]:
        """Cut a text into windows of the model's positions: the last is as full as the others, but scores less.

        An empty text is a window without a token to score.
        """
        first, tokens = self._first("a rolling likelihood"), self._text(text)
        for window in get_rolling_token_windows(tokens, first, positions, 1):
            yield Pair(*make_disjoint_window(window))
        if not tokens:
            yield Pair([first], [])

    def _from_start(self, continuation: list[int]) -> Pair:
        """Put the first token before a text, unless it is there."""
        first = self._first("an empty context")
        if continuation[:1] == [first]:
            return Pair([first], continuation[1:])
        return Pair([first], continuation)

    def _text(self, text: str) -> list[int]:
        """Encode a text that is scored, with special tokens unless it begins with the first token."""
        first = self._first_or_none()
        return self._special(text, None if first is None else self._tokenizer.decode([first]))

    def _special(self, text: str, start: str | None) -> list[int]:
        """Encode a text with the tokenizer's special tokens, unless `start` stands at its beginning."""
        text = _encodable(text)
        if start is not None and text.startswith(start):
            return self.plain(text)
        return self._ids(text)

    def _ids(self, text: str, **settings: bool) -> list[int]:
        """Encode a text. Raises InputError where the tokenizer breaks down, such as over a pattern without an end."""
        try:
            return list(self._tokenizer(text, **settings).input_ids)
        except BaseException as error:
            if not is_panic(error):
                raise
            said = f"the tokenizer breaks down over a text of {len(text)} characters ({first_line(error)})"
            raise InputError(f"{said}: name another one with model.tokenizer=FOLDER") from None

    def _first_or_none(self) -> int | None:
        start = self._tokenizer.bos_token_id
        return self._tokenizer.eos_token_id if start is None else start  # type: ignore[no-any-return]

    def _first(self, what: str) -> int:
        """Return the token that stands before a text: the tokenizer's start of text, else its end of text."""
        first = self._first_or_none()
        if first is None:
            raise InputError(
                f"{what} begins with the token of a text's start or end, and the tokenizer has neither: "
                "choose another task, or a tokenizer that has one (model.tokenizer)"
            )
        return first


def _encodable(text: Any) -> str:
    """Replace halves of surrogate pairs, which JSON may hold and tokenizers refuse, by question marks."""
    if not isinstance(text, str):
        raise InputError(f"{text!r:.60} stands in the data where the task wants a text")
    return text.encode("utf-8", "replace").decode("utf-8")
