"""Tokenizers made by hand, each with a habit that a prompt may trip over."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from conformance.tiny import VOCABULARY
from harness.data.chronicle import chronicle

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
TURNS = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@dataclass(frozen=True)
class Habit:
    """Describes a tokenizer.

    `special` are the special tokens that it knows, by role; `template` is what it puts around a text; `marks` says if
    it marks spaces instead of cutting bytes; `missing`, if the folder has none. `refused` are words of the sentence
    with which a case is refused, by the name of the case, or all under "".
    """

    special: Mapping[str, str]
    template: str = "$A"
    chat: str | None = None
    marks: bool = False
    size: int = VOCABULARY
    missing: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)


ALL = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "unk_token": PAD}
NO_START = ("likelihood, no context", "rolling", "rolling, text too long", "rolling, empty text")
NO_START += ("rolling, BOS in the text",)
"""Cases in which a text follows nothing."""

HABITS: Mapping[str, Habit] = {
    "adds BOS": Habit(ALL, f"{BOS} $A"),
    "adds nothing": Habit(ALL),
    "appends EOS": Habit(ALL, f"$A {EOS}"),
    "adds BOS, appends EOS": Habit(ALL, f"{BOS} $A {EOS}"),
    "adds BOS, marks spaces": Habit(ALL, f"{BOS} $A", marks=True),
    "BOS is EOS, no pad": Habit({"bos_token": EOS, "eos_token": EOS}),
    "no BOS": Habit({"eos_token": EOS, "pad_token": PAD}),
    "no EOS": Habit({"bos_token": BOS}),
    "none of BOS, EOS and pad": Habit({}, refused=dict.fromkeys(NO_START, "neither")),
    "chat template emits BOS": Habit(ALL, f"{BOS} $A", chat="{{ bos_token }}" + TURNS),
    "chat template without BOS": Habit(ALL, f"{BOS} $A", chat=TURNS),
    "larger than the embedding": Habit(ALL, size=VOCABULARY + 40, refused={"": "embedding"}),
    "missing": Habit({}, missing=True, refused={"": "tokenizer"}),
}


@functools.cache
def tokenizer(name: str) -> Any:
    """Make the tokenizer: pairs of bytes, or of characters with marked spaces, learnt from one text."""
    habit = HABITS[name]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace() if habit.marks else pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.Metaspace() if habit.marks else decoders.ByteLevel()
    alphabet = [chr(i) for i in range(33, 127)] if habit.marks else pre_tokenizers.ByteLevel.alphabet()
    special = [AddedToken(text, special=True) for text in (BOS, EOS, PAD)]
    learn = {"vocab_size": habit.size, "special_tokens": special, "initial_alphabet": alphabet}
    made.train_from_iterator([chronicle(200)], trainers.BpeTrainer(**learn, show_progress=False))
    ids = [(text, made.token_to_id(text)) for text in (BOS, EOS)]
    made.post_processor = processors.TemplateProcessing(single=habit.template, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=habit.chat, **habit.special)
