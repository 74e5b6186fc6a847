"""Loads a tokenizer, and says in a sentence what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from harness.errors import InputError, first_line, is_panic
from harness.hf.configuration import check_configuration
from harness.hf.located import Located
from harness.hf.vetting.json_files import read_object

FILES = ("tokenizer*", "*vocab*", "*.model", "*.tiktoken", "*.bpe", "merges.txt")
"""What the files of a tokenizer are called."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Small files of JSON; tokenizer.json is read by a library that is strict itself."""
OTHER = "name one with model.tokenizer=FOLDER"


def load_tokenizer(name: str, path: str, source: dict[str, Any], rows: int) -> Any:
    """Load the tokenizer at a path for a model whose embedding has so many rows.

    Raises InputError if there is none that encodes a text, or if it knows tokens that have no row.
    """
    if "gguf_file" not in source:
        _check_files(name, path, source.get("revision"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **source)
        vocabulary = tokenizer.get_vocab()
        special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
        tokenizer.decode(tokenizer("A text.").input_ids)
    except BaseException as error:  # foreign tokenizer code fails in its own ways
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise InputError(f"model '{name}': no usable tokenizer at {path} ({first_line(error)}): {OTHER}") from None
    if vocabulary.keys() <= special:  # what transformers makes of a folder without files
        raise InputError(f"model '{name}': there is no tokenizer at {path}: {OTHER}")
    _check_rows(name, tokenizer, vocabulary, rows)
    return tokenizer


def _check_files(name: str, path: str, revision: str | None) -> None:
    """Raise InputError for a folder without a file of a tokenizer, and for settings that cannot be read."""
    if _has_no_file(Path(path)):
        raise InputError(f"model '{name}': there is no tokenizer at {path}: {OTHER}")
    files = Located(path, revision)
    check_configuration(name, files)
    for file in SETTINGS:
        if (there := files.find(file)) is not None:
            read_object(name, there)


def _check_rows(name: str, tokenizer: Any, vocabulary: dict[str, int], rows: int) -> None:
    """Raise InputError for tokens that have no row in an embedding, the one for padding apart."""
    in_order = sorted(vocabulary, key=vocabulary.__getitem__)
    without_row = [token for token in in_order if vocabulary[token] >= rows and token != tokenizer.pad_token]
    if without_row:
        raise InputError(
            f"model '{name}': {len(without_row)} tokens of its tokenizer, such as {without_row[0]!r}, have no row in "
            f"the embedding of {rows}: {OTHER}"
        )


def _has_no_file(folder: Path) -> bool:
    """Return True for a local folder without any file of a tokenizer."""
    return folder.is_dir() and not any(True for pattern in FILES for _ in folder.glob(pattern))
