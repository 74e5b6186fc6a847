"""Tries again what a network may have broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from harness.errors import RunError, first_line

T = TypeVar("T")
PAUSES = (1.0, 4.0, 16.0)
"""Seconds before the second and each further attempt."""


def patiently(action: Callable[[], T], what: str, sleep: Callable[[float], None] = time.sleep) -> T:
    """Return the action's result; where its download breaks, try again, which goes on with what has arrived.

    Raises RunError when it broke every time, and at once whatever is no matter of the network.
    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except Exception as error:
            reason = broken_download(error)
            if reason is None:
                raise
            if pause is None:
                raise RunError(
                    f"the download of {what} broke {len(PAUSES) + 1} times ({reason}): what arrived is kept; check the "
                    "network and run the same command again"
                ) from error
        sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def broken_download(error: BaseException) -> str | None:
    """Say what the network did in one line; None if the error, and what it came from, has nothing to do with it.

    Errors that were worded for the user (`from None`) are final.
    """
    for cause in _chain(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return None
        is_server = isinstance(cause, HfHubHTTPError) and getattr(cause.response, "status_code", 0) in (429, *_SERVER)
        if is_server or isinstance(cause, ConnectionError | TimeoutError) or _is_transport(cause):
            return first_line(cause)
    return None


_SERVER = range(500, 600)


def _is_transport(error: BaseException) -> bool:
    """Say if it is an error of whichever HTTP client the hub's library uses."""
    return any(cls.__name__ in ("TransportError", "ConnectionError", "Timeout") for cls in type(error).__mro__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
