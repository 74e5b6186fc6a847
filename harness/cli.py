"""`harness run`: Hydra composes a configuration, a job runs it. The only file that knows Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.errors import InputError
from harness.paths import asset


def run(arguments: Sequence[str]) -> None:
    """Compose and run one job, or several with -m. Raises InputError for a configuration that does not compose."""
    sys.argv = ["harness run", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, do not print and exit: errors are worded in one place
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar, ours, instead of one of every library
    _collect_methods()
    try:
        hydra.main(version_base="1.3", config_path=str(asset("conf")), config_name="config")(_job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None


def _job(config: DictConfig) -> None:
    from harness.config import Job  # after Hydra has answered --help and --cfg, which need no torch
    from harness.console import Console
    from harness.sweep import run_job

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    run_job(Job.of(plain), Console())


def _collect_methods() -> None:
    """Let every file of conf/method/ into the configuration as method.NAME, without a list that grows."""
    names = sorted(file.stem for file in (asset("conf") / "method").glob("*.yaml"))
    node = {"defaults": [{f"method@method.{name}": name} for name in names]}
    ConfigStore.instance().store(name="every_method", node=node)


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("full_key", "object_type", "reference_type", "Set the"))]
    return " ".join(told) + " (see `harness run --cfg job` for every key, `harness list` for every name)"
