"""What is asked of a model: every kind of request, in several lengths at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance

NEW = 8
"""Tokens that a generation makes unless its settings say otherwise."""

TEXT = (
    "They say that Edric met Merrin at the old quay at dawn, and painted the silver key. The tide was turning. "
    "If Lorcan had not painted a broken wheel, Gareth would have come to the north gate in deep snow. "
    "Who will believe it? On market day I saw Orla leave the orchard with nine barrels, two nets and a lantern."
)
SHORT, MIDDLE, LONG = "A mill", TEXT[:48], TEXT[:110]
HALF, NEXT = TEXT[:76], TEXT[76:100]
"""A text of a little less than half the positions, where some models change their ways, and one that follows it."""
TOO_LONG = f"{TEXT} {TEXT}"
"""A text of more tokens than a model has positions."""


@dataclass(frozen=True)
class Case:
    """Holds questions of one kind; `asked` are the arguments of lm-eval's instances, a tuple each."""

    kind: str
    asked: Sequence[tuple[Any, ...]]

    def instances(self) -> list[Instance]:
        """Make lm-eval's instances, each of a document of its own."""
        return [
            Instance(request_type=self.kind, doc={}, arguments=arguments, idx=0, metadata=("conformance", i, 1))
            for i, arguments in enumerate(self.asked)
        ]


def generation(*contexts: str, **settings: Any) -> Case:
    """Continue texts; a setting that is None is left out."""
    given = {"until": [], "max_gen_toks": NEW, **settings}
    asked = {key: value for key, value in given.items() if value is not None}
    return Case("generate_until", [(context, dict(asked)) for context in contexts or (MIDDLE, SHORT, LONG, HALF)])


def scoring(*pairs: tuple[str, str]) -> Case:
    """Score continuations of contexts."""
    return Case("loglikelihood", pairs)


def rolling(*texts: str) -> Case:
    """Score whole texts."""
    return Case("loglikelihood_rolling", [(text,) for text in texts])


CASES: Mapping[str, Case] = {
    "generate": generation(),
    "generate, prompt too long": generation(TOO_LONG, SHORT, TOO_LONG[7:], LONG),
    "generate, no context": generation("", SHORT),
    "generate, BOS in the text": generation("<s>" + MIDDLE, "<s>" + SHORT, "<s>" + LONG),
    "likelihood": scoring(
        (MIDDLE, " and painted"), (SHORT, " at the old quay by moonlight."), (LONG, " a"), (HALF, NEXT)
    ),
    "likelihood, spaces before": scoring((MIDDLE + " ", "and"), (SHORT + "  ", "wheel"), (LONG + "\n\n", "The end")),
    "likelihood, no context": scoring(("", "The tide was turning."), (SHORT, " of"), ("", SHORT)),
    "likelihood, choices": scoring(*((context, end) for context in (MIDDLE, SHORT) for end in ("a", " b", "ten"))),
    "likelihood, context too long": scoring((TOO_LONG, " and sold it."), (SHORT, " is"), (TOO_LONG[7:], " nets")),
    "likelihood, BOS in the text": scoring(("<s>" + MIDDLE, " and"), ("<s>" + SHORT, " of nets"), ("<s>", SHORT)),
    "rolling": rolling(MIDDLE, SHORT, LONG, HALF),
    "rolling, text too long": rolling(TOO_LONG, SHORT, TEXT),
    "rolling, empty text": rolling("", SHORT),
    "rolling, BOS in the text": rolling("<s>" + MIDDLE, "<s>" + SHORT),
}
