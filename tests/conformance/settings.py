"""Settings of a generation: asked for by a task, or stored beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Describes one way to ask for a generation.

    `asked` are lm-eval's generation_kwargs; `stored` is laid over generation_config.json of the checkpoint, which is
    deleted if that is None; `config` over its config.json. `refused` are words of the sentence that refuses it.
    """

    asked: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, Any] | None = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""


def asked(refused: str = "", **settings: Any) -> Setting:
    """Ask for it in the task."""
    return Setting(settings, refused=refused)


def stored(refused: str = "", **settings: Any) -> Setting:
    """Store it in generation_config.json."""
    return Setting(stored=settings, refused=refused)


ENDS = [1, *range(40, 100)]
"""Ends of text of which a random continuation soon has one."""

SETTINGS: Mapping[str, Setting] = {
    "until: a letter": asked(until=["e"]),
    "until: a text": asked(until="an"),
    "until: several": asked(until=["zq", "te", "7", ","]),
    "until: an empty text": asked(until=""),
    "until: an empty text among others": asked(until=["", "e"]),
    "until: missing": asked(until=None),
    "max_gen_toks: 20": asked(max_gen_toks=20),
    "max_new_tokens": asked(max_gen_toks=None, max_new_tokens=5),
    "max_tokens": asked(max_gen_toks=None, max_tokens=5),
    "max_completion_tokens": asked(max_gen_toks=None, max_completion_tokens=5),
    "max_gen_toks and max_tokens": asked(max_gen_toks=4, max_tokens=9),
    "max_length": asked("max_length", max_length=75),
    "do_sample: false, temperature: 0": asked(do_sample=False, temperature=0.0),
    "do_sample: false, temperature: 0.7": asked(do_sample=False, temperature=0.7),
    "temperature: 0": asked(temperature=0.0),
    "do_sample: true, top_k: 1": asked(do_sample=True, temperature=0.7, top_k=1),
    "temperature: 0.7, top_k: 1": asked(temperature=0.7, top_k=1),
    "num_beams: 1": asked(num_beams=1),
    "num_beams: 2": asked("num_beams", num_beams=2),
    "repetition_penalty: 1": asked(repetition_penalty=1.0),
    "repetition_penalty: 1.5": asked(repetition_penalty=1.5),
    "no_repeat_ngram_size: 1": asked("no_repeat_ngram_size", no_repeat_ngram_size=1),
    "min_new_tokens": Setting({"min_new_tokens": 6}, stored={"eos_token_id": ENDS}),
    "a word that nobody knows": asked("max_toks", max_toks=3),
    "config.json: several ends of text": Setting(stored=None, config={"eos_token_id": ENDS}),
    "generation_config.json: several ends of text": stored(eos_token_id=ENDS),
    "generation_config.json: samples": stored(do_sample=True, temperature=0.6, top_p=0.9),
    "generation_config.json: max_length": stored(max_length=20),
    "generation_config.json: max_new_tokens": stored(max_new_tokens=3),
    "generation_config.json: repetition_penalty": stored(repetition_penalty=1.5),
    "generation_config.json: no_repeat_ngram_size": stored("no_repeat_ngram_size", no_repeat_ngram_size=1),
    "generation_config.json: min_new_tokens": stored(min_new_tokens=6, eos_token_id=ENDS),
    "generation_config.json: suppress_tokens": stored("suppress_tokens", suppress_tokens=[40, 41]),
    "generation_config.json: forced_eos_token_id": stored("forced_eos_token_id", forced_eos_token_id=1),
    "generation_config.json: num_beams": stored("num_beams", num_beams=2),
}
