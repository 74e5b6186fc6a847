"""Twenty kills at random moments, also while files are written: nothing finished is lost, or done twice."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from compare_tables import tables
from support.sweeps import SWEEP

from harness.store.lines import read_records
from harness.store.notes import Notes

pytestmark = pytest.mark.slow

KILLS = 20
KILLED = -signal.SIGPROF


class Launcher:
    """Launches in processes that can be killed."""

    def __init__(self, folder):
        script = Path(__file__).with_name("zygote.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._zygote = subprocess.Popen([sys.executable, str(script)], cwd=folder, **pipes)

    def run(self, arguments, seconds=0.0, crumbs=False):
        """The exit code and the processor time of a run, which is killed after `seconds` of it; 0 leaves it alone."""
        self._zygote.stdin.write(json.dumps({"arguments": arguments, "crumbs": crumbs, "seconds": seconds}) + "\n")
        self._zygote.stdin.flush()
        code, used = self._zygote.stdout.readline().split()
        return int(code), float(used)

    def close(self):
        self._zygote.stdin.close()
        self._zygote.wait()
        self._zygote.stdout.close()


@pytest.fixture
def arguments(tiny):
    """What `harness run` is given, the task and the results folder apart."""
    return ["run", "model=custom", f"model.path={tiny}", "data=embedded", *SWEEP]


@pytest.fixture
def launcher(tmp_path):
    made = Launcher(tmp_path)
    yield made
    made.close()


def written(results):
    """Keys of the records of whole batches, in the order they were written."""
    return [record.key for folder in results.glob("*-*") for record, whole in read_records(folder, Notes()) if whole]


def test_twenty_kills_give_the_tables_of_an_uninterrupted_run(launcher, arguments, tmp_path, record_testsuite_property):
    small = [*arguments, "task=wikitext", "engine.batch_size=1"]
    assert launcher.run([*small, "results=reference"])[0] == 0
    code, whole = launcher.run([*small, "results=again"])
    assert code == 0
    reference, results = tables(tmp_path / "reference"), tmp_path / "results"
    chance, kills, mid_run, finished = random.Random(0), 0, 0, 0
    while kills < KILLS or results.exists():
        seconds = chance.uniform(0.4, 1.0) * whole if kills < KILLS else 0.0
        code, _ = launcher.run([*small, "results=results"], seconds, crumbs=chance.random() < 0.5)
        assert code in (0, KILLED)
        kills += code == KILLED
        keys = written(results)
        mid_run += code == KILLED and bool(keys)
        assert len(keys) == len(set(keys))
        if code == 0:
            assert tables(results) == reference
            shutil.rmtree(results)
            finished += 1
    record_testsuite_property("kills", f"{kills}, {mid_run} with work on disk, {finished} sweeps finished in between")
    assert mid_run > KILLS / 4
