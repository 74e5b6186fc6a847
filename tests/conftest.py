"""What every test shares: no network, seeded hypothesis, and the fixtures for what may be missing on a machine."""

import os

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

import logging
import shutil
import sys
from pathlib import Path

import absl.logging
import hypothesis
import pytest
import torch
import transformers
from compare_tables import tables
from support.checkpoint import tiny_checkpoint
from support.paper_tasks import smollm2_spec
from support.sweeps import Ended, counting_prefills, launch, only_run, sweep_job

from harness import hf, methods
from harness.__main__ import main
from harness.errors import InputError

# Hydra closes every handler of logging, and that of absl (imported for ROUGE) would close pytest's own stream with it.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, max_examples=25, print_blob=False
)
hypothesis.settings.load_profile("tests")
torch.set_num_threads(1)  # tiny tensors gain nothing from more, and much is lost where cores are shared
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _fresh_state(monkeypatch):
    """Random numbers start over, argv is put back, and no handler logs to a stream that an earlier test closed."""
    torch.manual_seed(0)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in [*getattr(logger, "handlers", ())]:
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)


@pytest.fixture
def few_methods(monkeypatch):
    """Compose with the methods of conf/method/ alone, in half of the time."""
    monkeypatch.setattr(methods, "names", lambda: ["low_rank", "sparq"])


@pytest.fixture(scope="session")
def repository():
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared():
    """The folder of public data and golden numbers beside the checkout, or $HARNESS_SHARED."""
    folder = Path(os.environ.get("HARNESS_SHARED") or REPOSITORY.parent / "shared")
    if not (folder / "golden").is_dir():
        pytest.skip(f"no golden numbers and data at {folder}: set HARNESS_SHARED")
    return folder


@pytest.fixture(scope="session")
def smollm2():
    """The checkpoint of the embedded model, converted on first use; positions cut to 2048 as the golden runs were."""
    try:
        return hf.find(smollm2_spec())
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def smollm2_model(smollm2):
    """Its weights, loaded once."""
    return smollm2.load()


@pytest.fixture(scope="session")
def smollm2_tokenizer(smollm2):
    """Its tokenizer."""
    return smollm2.tokenizer()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a small checkpoint with random weights."""
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def harness(tiny, tmp_path, monkeypatch, capsys):
    """Call `harness run` on the tiny model and the embedded corpus; returns exit code, stdout lines, stderr lines."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        base = ["model=custom", f"model.path={tiny}", "data=embedded", "task=squad"]
        code = main(["run", *(a for a in arguments if a == "-m"), *base, *(a for a in arguments if a != "-m")])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err.splitlines()

    return call


@pytest.fixture
def sweep(tiny, tmp_path, monkeypatch, capsys):
    """Launch the sweep, other arguments added; returns how it ended."""
    monkeypatch.chdir(tmp_path)

    def call(*more, results="results"):
        with monkeypatch.context() as patch:
            prefilled = counting_prefills(patch)
            code = launch(sweep_job(tiny, tmp_path / results, *more))
        return Ended(code, capsys.readouterr().err, prefilled)

    return call


@pytest.fixture(scope="session")
def whole(tiny, tmp_path_factory):
    """Results of the sweep that nothing interrupted; to be read only."""
    results = tmp_path_factory.mktemp("whole") / "results"
    assert launch(sweep_job(tiny, results)) == 0
    return results


@pytest.fixture(scope="session")
def reference(whole):
    """Its tables."""
    return tables(whole)


@pytest.fixture
def finished(whole, tmp_path):
    """Folder of the finished run, copied to where `sweep` goes on with it."""
    shutil.copytree(whole, tmp_path / "results")
    return only_run(tmp_path / "results")
