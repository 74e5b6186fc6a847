"""`harness run` and `harness plan`: Hydra composes configurations, jobs run or are counted. Nobody else knows Hydra."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.commands.vetting import refuse_code
from harness.errors import InputError, RunError
from harness.paths import asset
from harness.sweep.interrupt import interruptible
from harness.sweep.verdicts import note, raise_all


def run(arguments: Sequence[str]) -> None:
    """Compose and run one job, or several with -m; every job runs, whatever happens to others.

    Raises InputError for a configuration that does not compose, and what jobs raised when all have ended.
    """
    refuse_code(arguments)
    sys.argv = ["harness run", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, do not print and exit: errors are worded in one place
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar, ours, instead of one of every library
    _collect_methods()
    with interruptible(), tempfile.TemporaryDirectory(prefix="harness-") as folder:
        with _worded():
            hydra.main(version_base="1.3", config_path=str(asset("conf")), config_name="config")(_task(Path(folder)))()
        raise_all(Path(folder))


def plan(arguments: Sequence[str]) -> None:
    """Print what the jobs that `run` would run with these arguments will cost; shards do not change that."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    from harness.sweep.workload import forecast  # needs torch

    whole = [argument for argument in arguments if not argument.startswith(("shards=", "shard="))]
    with _quiet():
        text = forecast(compositions(whole))
    sys.stdout.write(text)


def compositions(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The plain configuration of every job that `run` would run with these arguments. Raises InputError."""
    refuse_code(arguments)
    _collect_methods()
    given = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    with _worded(), hydra.initialize_config_dir(str(asset("conf")), version_base="1.3"):
        parser = OverridesParser.create()
        fixed = [o.input_line for o in parser.parse_overrides(given) if not o.is_sweep_override()]
        params = hydra.compose("config", fixed, return_hydra_config=True).hydra.sweeper.params or {}
        axes: dict[str, list[str]] = {}
        for override in parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *given]):
            key, swept = override.get_key_element(), override.is_sweep_override()
            values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
            axes[key] = [f"{key}={value}" for value in values]
        return [_plain(hydra.compose("config", list(chosen))) for chosen in itertools.product(*axes.values())]


def _task(verdicts: Path) -> Callable[[DictConfig], None]:
    """A job whose errors are noted in a folder, in whatever process it runs; where that is not in reach, raised."""

    def task(config: DictConfig) -> None:
        try:
            _job(config)
        except (InputError, RunError) as error:
            if not verdicts.is_dir():  # another machine
                raise
            job = HydraConfig.get().job
            note(verdicts, f"{job.get('num', 0):06d}", job.override_dirname, error)

    return task


def _job(config: DictConfig) -> None:
    from harness.sweep.console import Console
    from harness.sweep.job import Job  # after Hydra has answered --help and --cfg, which need no torch
    from harness.sweep.run import run_job

    run_job(Job.of(_plain(config)), Console())


def _plain(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return plain  # type: ignore[no-any-return]


def _collect_methods() -> None:
    """Let every file of conf/method/ into the configuration as method.NAME, without a list that grows."""
    names = sorted(file.stem for file in (asset("conf") / "method").glob("*.yaml"))
    node = {"defaults": [{f"method@method.{name}": name} for name in names]}
    ConfigStore.instance().store(name="every_method", node=node)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines of libraries, such as one for each time that the hub did not answer."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _worded() -> Iterator[None]:
    """Errors of composition in one sentence."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("full_key", "object_type", "reference_type", "Set the"))]
    hint = "see `harness run --cfg job` for every key, `harness list` for every name"
    if any("hydra/launcher" in line for line in told):
        hint = "launchers come with pip install 'harness[joblib]', 'harness[slurm]' or 'harness[ray]'"
    return f"{' '.join(told)} ({hint})"
