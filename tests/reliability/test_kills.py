"""Twenty kills at random moments, also while files are written: nothing finished is lost, or done twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tables_of import tables

from harness.results.records import stored_lines

pytestmark = pytest.mark.slow

KILLS = 20


class Launcher:
    """Launches in processes that can be signalled."""

    def __init__(self, folder):
        script = Path(__file__).with_name("zygote.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._zygote = subprocess.Popen([sys.executable, str(script)], cwd=folder, **pipes)

    def run(self, arguments, number=None, after=0.0, crumbs=False):
        """The exit code; with a signal's number, it is sent so many seconds after the start, if the run still lasts."""
        self._zygote.stdin.write(json.dumps({"arguments": arguments, "crumbs": crumbs}) + "\n")
        self._zygote.stdin.flush()
        child = int(self._zygote.stdout.readline())
        timer = threading.Timer(after, _send, (child, number))
        if number is not None:
            timer.start()
        code = int(self._zygote.stdout.readline())
        timer.cancel()
        return code

    def close(self):
        self._zygote.stdin.close()
        self._zygote.wait()
        self._zygote.stdout.close()


def _send(child, number):
    with suppress(ProcessLookupError):
        os.kill(child, number)


@pytest.fixture
def launcher(tmp_path):
    made = Launcher(tmp_path)
    yield made
    made.close()


def written(results):
    """Keys of the records of whole batches, in the order they were written."""
    return [
        (line["unit"], line["cell"]) for folder in results.glob("*-*") for line, whole in stored_lines(folder) if whole
    ]


def test_twenty_kills_give_the_tables_of_an_uninterrupted_run(launcher, arguments, tmp_path):
    small = [*arguments, "task=wikitext", "engine.batch_size=1"]
    assert launcher.run([*small, "results=reference"]) == 0
    begin = time.monotonic()
    assert launcher.run([*small, "results=again"]) == 0
    whole = time.monotonic() - begin
    reference, results = tables(tmp_path / "reference"), tmp_path / "results"
    chance, kills, mid_run, finished = random.Random(0), 0, 0, 0
    while kills < KILLS or not finished or results.exists():
        last = {} if kills == KILLS else {"number": signal.SIGKILL, "after": chance.uniform(0.4, 1.0) * whole}
        code = launcher.run([*small, "results=results"], crumbs=chance.random() < 0.5, **last)
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        keys = written(results)
        mid_run += code != 0 and bool(keys)
        assert len(keys) == len(set(keys))
        if code == 0:
            assert tables(results) == reference
            shutil.rmtree(results)
            finished += 1
    assert mid_run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_ends_the_run_with_what_is_finished_on_disk(launcher, arguments, tmp_path, number):
    long = [*arguments, "task=wikitext,squad,triviaqa", "engine.batch_size=1", "limit=12", "results=results"]
    code = launcher.run([long[0], "-m", *long[1:]], number=number, after=2.5)
    assert code == 130
    keys = written(tmp_path / "results")
    assert len(keys) == len(set(keys))
