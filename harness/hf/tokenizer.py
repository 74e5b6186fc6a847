"""Loads a tokenizer, and says in a sentence what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from harness.errors import InputError, first_line

FILES = ("tokenizer*", "*vocab*", "*.model", "*.tiktoken", "*.bpe", "merges.txt")
"""What the files of a tokenizer are called."""


def load_tokenizer(name: str, path: str, source: dict[str, Any], rows: int) -> Any:
    """Load the tokenizer at a path for a model whose embedding has so many rows.

    Raises InputError if there is none, or if it knows tokens that have no row.
    """
    other = "name one with model.tokenizer=FOLDER"
    if "gguf_file" not in source and _has_no_file(Path(path)):
        raise InputError(f"model '{name}': there is no tokenizer at {path}: {other}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **source)
    except Exception as error:  # foreign tokenizer code fails in its own ways
        raise InputError(f"model '{name}': no usable tokenizer at {path} ({first_line(error)}): {other}") from None
    vocabulary = tokenizer.get_vocab()
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    if vocabulary.keys() <= special:  # what transformers makes of a folder without files
        raise InputError(f"model '{name}': there is no tokenizer at {path}: {other}")
    in_order = sorted(vocabulary, key=vocabulary.__getitem__)
    without_row = [token for token in in_order if vocabulary[token] >= rows and token != tokenizer.pad_token]
    if without_row:
        raise InputError(
            f"model '{name}': {len(without_row)} tokens of its tokenizer, such as {without_row[0]!r}, have no row in "
            f"the embedding of {rows}: {other}"
        )
    return tokenizer


def _has_no_file(folder: Path) -> bool:
    """Return True for a local folder without any file of a tokenizer."""
    return folder.is_dir() and not any(True for pattern in FILES for _ in folder.glob(pattern))
