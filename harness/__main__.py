"""Runs the command line: `harness COMMAND ...`."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence

from harness.commands.parser import call
from harness.errors import InputError, RunError
from harness.text import printable

EXTRAS = {"matplotlib": "report", "plotly": "report", "jinja2": "report", "triton": "gpu"}
"""The extra of the package that brings a library."""


PATHS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""What the system says of a path that does not serve, rather than of a mistake of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 a run failed, 2 the input was wrong, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return guarded(lambda: call(given))
    except SystemExit as end:
        if end.code:
            raise
        return 0  # a help was printed


def guarded(command: Callable[[], object]) -> int:
    """Call a command; whatever it raises for the user becomes one sentence on standard error. Returns the exit code."""
    try:
        command()
    except InputError as error:
        return _fail(str(error), 2)
    except RunError as error:
        return _fail(str(error), 1)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        return _fail(f"{error.name} is not installed: pip install 'harness[{extra}]'", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, the same command goes on from there", 130)
    except OSError as error:
        sentence, code = _of_system(error)
        return _fail(sentence, code)
    return 0


def _of_system(error: OSError) -> tuple[str, int]:
    """Say what a full disk or a path that does not serve means, with the exit code. Raises any other error again."""
    if error.errno == errno.ENOSPC:
        return "the disk is full; what was finished is kept: free some space and run the same command again", 1
    if error.errno in PATHS and error.filename is not None:
        return printable(f"{error.filename} cannot be used ({error.strerror}): choose another path, or mend it"), 2
    raise error


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"harness: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
