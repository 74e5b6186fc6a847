"""The paper's tasks on the shared data, as the golden runs cut them."""

from harness.commands.compose import compositions, model_spec
from harness.data.sources import DataSpec, resolve
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import load_paper_task
from harness.paths import asset

GOLDEN_ARGUMENTS = {
    "squad": {"other_contexts": 3},
    "triviaqa": {"evidence": "search", "shortest": 2000},
    "cnn_dailymail": {},
    "wikitext": {"prefix": 3000, "continuation": 200},
    "repetition": {"context": 3000},
}
"""How the golden runs cut the tasks (shared/golden/README.md)."""


def local_data(shared):
    """conf/data/local.yaml on the shared folder."""
    (config,) = compositions(["data=local", f"data.root={shared / 'data'}"])
    return DataSpec(**config["data"])


def local_suite(shared, task, limit, arguments):
    """A task of the paper on the shared folder's rows."""
    source = resolve(local_data(shared), task, asset("tasks") / "corpus", shared)
    loaded = load_paper_task(f"paper_{task}", asset("tasks") / "paper", {**source.arguments, **arguments})
    return Suite({task: loaded}, limit)


def smollm2_spec(**changes):
    """The embedded model as the golden runs had it."""
    return model_spec("smollm2", **{"device": "cpu", "max_length": 2048, **changes})
