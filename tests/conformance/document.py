"""Makes docs/conformance.md: what the matrix asks, and what comes of it. The tests hold that it does."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from conformance.checkpoints import MODELS
from conformance.matrix import ENTRIES, PLAIN_MODEL, PLAIN_TOKENIZER, THOROUGH, Entry
from conformance.requests import CASES, Case
from conformance.settings import SETTINGS, Setting
from conformance.sides import RELATIVE
from conformance.spelling import HABITS
from conformance.tiny import POSITIONS

FOREIGN = re.compile("(cannot be run here: |no usable tokenizer at FOLDER [(]).*")
"""What begins the words of other libraries in a sentence of ours: they depend on what is installed."""

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
TEXT = f"""# Conformance

Written by `make conformance`, which first runs the whole matrix of [tests/conformance](../tests/conformance): every
outcome below is a test's. `make test` runs {{fast}} of its {{all}} tests, and holds this page to what the suite says.

A tiny model with random weights, a tokenizer made by hand and a request meet twice: in lm-eval's own `hf` backend,
which is asked one sample at a time, and in this harness under dense attention, which is asked all samples, of different
lengths, in one batch, and each alone. *Equal* is the same text of every sample; of every likelihood, a relative
difference of at most {RELATIVE:g} and the same verdict on whether it is greedy. What cannot be equal is refused in one
sentence before weights are loaded, here as it is said of a model named `tiny`.

## Models

Each of {POSITIONS} positions, with the tokenizer that *{PLAIN_TOKENIZER}*. Those that run are asked every request and
every setting below.

{{models}}
## Tokenizers

With *{PLAIN_MODEL}*, whose samples and sentences these are; also with *{"*, *".join(THOROUGH)}*.

{{tokenizers}}
## Requests

{{requests}}
## Settings of a generation

With *{PLAIN_MODEL}*, and with every model that runs.

{{settings}}"""


def page() -> str:
    """Make the page; every refusal is asked for anew."""
    plain = [entry for entry in ENTRIES if entry.setting is None]
    of_models = [entry for entry in plain if entry.tokenizer == PLAIN_TOKENIZER]
    of_models += [entry for entry in ENTRIES if entry.setting in MODELS[entry.model].but]
    of_tokenizers = [entry for entry in plain if entry.model == PLAIN_MODEL]
    of_settings = [entry for entry in ENTRIES if entry.setting and entry.model == PLAIN_MODEL]
    return TEXT.format(
        fast=sum(entry.fast for entry in ENTRIES),
        all=len(ENTRIES),
        models=_table("model | outcome", [(name, _outcome(of_models, model=name)) for name in MODELS]),
        tokenizers=_table("tokenizer | outcome", [(name, _outcome(of_tokenizers, tokenizer=name)) for name in HABITS]),
        requests=_table(
            "request | samples, by their ends and characters", [(name, _samples(case)) for name, case in CASES.items()]
        ),
        settings=_table(
            "setting | outcome",
            [(f"{name}{_stored(setting)}", _outcome(of_settings, setting=name)) for name, setting in SETTINGS.items()],
        ),
    )


def _table(head: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = [(name.replace("|", "\\|"), text.replace("|", "\\|")) for name, text in rows]
    return "\n".join([f"| {head} |", "|---|---|", *(f"| {name} | {text} |" for name, text in lines)]) + "\n"


def _outcome(entries: Sequence[Entry], **wanted: str) -> str:
    """Say what came of the entries that have the wanted model, tokenizer or setting."""
    chosen = [entry for entry in entries if all(getattr(entry, key) == value for key, value in wanted.items())]
    sentences: dict[str, list[str]] = {}
    for entry in chosen:
        if entry.refused:
            sentence = entry.refusal().replace(str(entry.folder), "FOLDER")
            sentences.setdefault(FOREIGN.sub("\\1…", sentence), []).append(entry.setting or entry.case)
    samples = sum(len(entry.asked.asked) for entry in chosen if not entry.refused)
    equal = [f"equal in {samples} samples"] * bool(samples)
    return "; ".join([*equal, *(_refused(sentence, cases, bool(samples)) for sentence, cases in sentences.items())])


def _refused(sentence: str, cases: Sequence[str], partly: bool) -> str:
    return f"{', '.join(cases)} refused: *{sentence}*" if partly else f"refused: *{sentence}*"


def _samples(case: Case) -> str:
    """Show the samples of a case: the ends of a context and of its continuation, and how long they are."""
    texts = [[f"`{part[-16:]!r}` ({len(part)})" for part in sample if isinstance(part, str)] for sample in case.asked]
    return "; ".join(" → ".join(parts) for parts in texts)


def _stored(setting: Setting) -> str:
    """Show what a setting is."""
    found = {"asked": setting.asked, "generation_config.json": setting.stored, "config.json": setting.config}
    shown = {where: json.dumps(values) for where, values in found.items() if values}
    parts = (f"{where} `{textwrap.shorten(text, 60, placeholder=' …')}`" for where, text in shown.items())
    return f" ({', '.join(parts)})"
