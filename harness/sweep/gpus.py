"""Shares the GPUs of a machine among the processes that run jobs: each holds a place on one, the next goes elsewhere.

A place is a locked file in a temporary folder of the machine. The system drops the lock when the process ends, however
it ends, so nothing is left over after a kill. Processes that were started by hand see each other as those of a launcher
do; those of another user do not.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from harness.errors import InputError

AT_ONCE = 2
"""Jobs at a time where no GPU is used: each computes on all cores."""


def gpus_here() -> int:
    """Count the GPUs that this process is shown."""
    return torch.cuda.device_count()


def jobs_at_once(device: str, device_map: str | None) -> int:
    """Return how many jobs a launcher should run at a time: one on each GPU that they may use, else AT_ONCE."""
    gpus = gpus_here()
    if device in ("cpu", "mps") or not gpus:
        return AT_ONCE
    return 1 if device_map or ":" in device else gpus


def gpus_of_a_job(device: str, device_map: str | None) -> int:
    """Return how many GPUs a scheduler should give to a job: one, all if its layers are spread over them, or none."""
    gpus = gpus_here()
    if device in ("cpu", "mps") or not gpus:
        return 0
    return gpus if device_map else 1


@contextmanager
def place_of_job(device: str, device_map: str | None = None, folder: Path | None = None) -> Iterator[str]:
    """Hold a place on the GPU that a job runs on, and yield the device's name.

    "cuda" is the GPU on which fewest hold a place; one that is named is taken, however many do. Layers that are spread
    over all GPUs take a place on each. A device that is no GPU is yielded as it is. Raises InputError if the folder for
    places, by default in the machine's temporary one, belongs to somebody else.
    """
    if not device.startswith("cuda"):
        yield device
        return
    gpus = [_identity(index) for index in range(gpus_here())]
    wanted = [int(device.partition(":")[2])] if ":" in device else list(range(len(gpus)))
    with ExitStack() as held:
        places = _Places(_private(folder or Path(tempfile.gettempdir()) / f"harness-gpus-{os.getuid()}"))
        if device_map:
            for index in wanted:
                held.enter_context(places.take([gpus[index]])[1])
            yield device
        else:
            taken, lock = places.take([gpus[index] for index in wanted])
            held.enter_context(lock)
            yield f"cuda:{wanted[taken]}"


class _Places:
    """Finds places on GPUs, in a folder of lock files GPU.NUMBER."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, gpus: Sequence[str]) -> tuple[int, FileLock]:
        """Lock the first free place on the GPU with fewest held; returns which of them that is, and the lock."""
        with FileLock(self._folder / "mutex"):
            held = [self._held(gpu) for gpu in gpus]
            index = min(range(len(gpus)), key=lambda i: len(held[i]))
            free = next(number for number in range(len(held[index]) + 1) if number not in held[index])
            lock = self._lock(gpus[index], free)
            lock.acquire()
        return index, lock

    def _held(self, gpu: str) -> set[int]:
        """Return the numbers of the places that processes hold."""
        numbers = [int(file.name.rpartition(".")[2]) for file in self._folder.glob(f"{gpu}.*")]
        return {number for number in numbers if not _is_free(self._lock(gpu, number))}

    def _lock(self, gpu: str, number: int) -> FileLock:
        return FileLock(self._folder / f"{gpu}.{number}", timeout=0)


def _is_free(lock: FileLock) -> bool:
    try:
        with lock:
            return True
    except Timeout:
        return False


def _identity(index: int) -> str:
    """Name a GPU as every process does, whichever GPUs are shown to it and in whatever order."""
    return str(torch.cuda.get_device_properties(index).uuid)


def _private(folder: Path) -> Path:
    """Make a folder of one's own. Raises InputError if it is somebody else's, who could put links there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder} belongs to somebody else: set TMPDIR to a folder of your own")
    return folder
