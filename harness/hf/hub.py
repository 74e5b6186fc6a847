"""Pins a hub name to a commit in one request; without a network, to what the cache has, at once."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from harness.errors import InputError, first_line

PATIENCE = 4.0
"""Seconds to wait for a connection, and for the answer."""
CONFIGS = ("config.json", "tokenizer_config.json", "tokenizer.json")


def pinned(name: str, path: str, revision: str | None) -> str | None:
    """Return the commit that a hub name, or one revision of it, stands for; None for a folder.

    Where the hub cannot be reached, the process goes on as under HF_HUB_OFFLINE=1, from the cache: the hub's library
    would wait for every single file. Raises InputError if the hub has no such model, and if neither has the cache.
    """
    if Path(path).is_dir():
        return None
    try:
        return _asked(name, path, revision)
    except InputError:
        raise
    except Exception as error:  # whatever a network does
        reason = first_line(error)
    commit = _cached(path, revision)
    if commit is None:
        raise InputError(
            f"model '{name}': {path} is no folder and not in the cache, and the hub cannot be reached ({reason}): "
            "download it where there is a network, or name a folder"
        )
    constants.HF_HUB_OFFLINE = True
    return commit


def _asked(name: str, path: str, revision: str | None) -> str:
    """Return the commit that the hub names. Raises InputError if it has none, other errors if it cannot be asked."""
    try:
        return str(HfApi().model_info(path, revision=revision, timeout=PATIENCE).sha)
    except HFValidationError:
        why = f"{path} is neither a folder nor a name on the hub"
    except RevisionNotFoundError:
        why = f"{path} has no revision {revision} on the hub"
    except RepositoryNotFoundError:
        why = (
            f"there is no folder {path}, and the hub shows no model of that name: if it is private, run `hf auth login`"
        )
    raise InputError(f"model '{name}': {why}")


def _cached(path: str, revision: str | None) -> str | None:
    """Return the commit of what the cache has of a model, if it has any."""
    for file in CONFIGS:
        found = try_to_load_from_cache(path, file, revision=revision)
        if isinstance(found, str):
            return Path(found).parent.name  # snapshots/COMMIT/FILE
    return None
