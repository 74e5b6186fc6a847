"""Finds out in one request if the hub can be asked for rows, before a library tries for half a minute."""

from __future__ import annotations

from huggingface_hub import HfApi, constants

PATIENCE = 5.0
"""Seconds to wait for a connection, and for the answer."""
ANY = "rajpurkar/squad"
"""A data set that is there if anything is."""


def hub_answers() -> bool:
    """Say if the hub can be reached."""
    try:
        HfApi().dataset_info(ANY, timeout=PATIENCE)
    except Exception:  # whatever the reason, the hub cannot be used
        return False
    return True


def use_cache_without_hub() -> None:
    """Let the process go on as under HF_HUB_OFFLINE=1, from the cache, where the hub cannot be reached."""
    if not hub_answers():
        constants.HF_HUB_OFFLINE = True
