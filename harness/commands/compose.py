"""Composes configurations from conf/, and lets Hydra run a job for each. Nobody else reads conf/.

Nothing here needs torch before something is composed, so that --help answers at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from harness.commands.loader import NAME, composing, parsed
from harness.commands.vetting import check_lines
from harness.errors import InputError
from harness.paths import asset

if TYPE_CHECKING:
    from harness.hf import ModelSpec

CONF = asset("conf")
GROUPS = ("model", "task", "data", "budget", "experiment", "launcher")
"""The folders of conf/ from which one file is chosen by name; those of method/ are all part of every configuration."""
PLAIN = (bool, int, float, str)
"""Kinds of values that a configuration shows; for any other default of a knob it has null, which leaves the default."""
OF_ALL = ("seed", "dense_layers", "layers")
"""Knobs that a configuration takes from its keys of the same name at the top, unless they are set for a method."""


class Label(NamedTuple):
    """Names one of the jobs of a launch: its number, and the values that tell it from the others."""

    number: int
    overrides: str


def launch(
    overrides: Sequence[str],
    job: Callable[[dict[str, Any], Label], None],
    *,
    multirun: bool = False,
    folder: Path | None = None,
) -> None:
    """Let Hydra compose one configuration, or those of a multirun, and call a job with each, in whatever process.

    `folder` is one of configurations beside conf/. Raises InputError for a configuration that does not compose or may
    not be, and what jobs raise in this process.
    """

    def task(config: DictConfig) -> None:
        this = HydraConfig.get().job
        job(_plain(config), Label(this.get("num", 0), this.override_dirname))

    _count_gpus()
    with _composing(folder, overrides) as engine:
        if _is_multirun(engine, overrides, multirun):
            engine.multirun(NAME, task, [*overrides, "hydra.mode=MULTIRUN"])
        else:
            engine.run(NAME, task, [*overrides, "hydra.mode=RUN"])


def show(
    overrides: Sequence[str], cfg: str | None, info: str | None, package: str | None, resolve: bool, folder: Path | None
) -> None:
    """Print a configuration, or a part of it, or how it is composed. Raises InputError as `launch` does."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, do not print and exit: errors are worded in one place
    _count_gpus()
    with _composing(folder, overrides) as engine:
        if info:
            engine.show_info(info, config_name=NAME, overrides=[*overrides])
        else:
            engine.show_cfg(NAME, [*overrides], cfg_type=cfg, package=package, resolve=resolve)


def compositions(overrides: Sequence[str], folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the plain configuration of every job that `harness run -m` would run with these key=value arguments.

    Raises InputError as `launch` does.
    """
    with _composing(folder, overrides):
        fixed = [override.input_line for override in parsed(overrides) if not override.is_sweep_override()]
        params = hydra.compose(NAME, fixed, return_hydra_config=True).hydra.sweeper.params or {}
        axes: dict[str, list[str]] = {}
        for override in parsed([*(f"{key}={value}" for key, value in params.items()), *overrides]):
            key, swept = override.get_key_element(), override.is_sweep_override()
            values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
            axes[key] = [f"{key}={value}" for value in values]
        return [_plain(hydra.compose(NAME, list(chosen))) for chosen in itertools.product(*axes.values())]


def model_spec(name: str, /, **settings: Any) -> ModelSpec:
    """Return the model of conf/model/NAME.yaml, some of its keys replaced. Raises InputError for a name or a key."""
    from harness.hf import ModelSpec
    from harness.sweep.typed import build

    known = choices("model")
    if name not in known:
        raise InputError(f"unknown model '{name}': choose from {', '.join(known)}")
    spec: ModelSpec = build(ModelSpec, _with_model(name, settings)["model"], "model")
    return spec


def method_knobs(method: str, model: ModelSpec) -> dict[str, Any]:
    """Return the knobs of a method that the configuration sets, for a model; those that are null are left out."""
    knobs = _with_model("custom", dataclasses.asdict(model))["method"].get(method, {})
    return {knob: value for knob, value in knobs.items() if value is not None}


def choices(group: str) -> dict[str, str]:
    """Return the names of a group of conf/, each with the first comment of its file."""
    return {file.stem: _first_comment(file.read_text(encoding="utf-8")) for file in _files(group)}


def _files(group: str) -> list[Any]:
    return sorted((CONF / group).glob("*.yaml"))


def _first_comment(text: str) -> str:
    comments = (line for line in text.splitlines() if line.startswith("# "))
    return next(line for line in comments if not line.startswith("# @package")).removeprefix("# ")


def _with_model(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compose the default configuration with a model, whose keys other values are taken from."""
    with _composing():
        config = hydra.compose(NAME, [f"model={name}"])
        OmegaConf.update(config, "model", dict(settings), merge=True, force_add=True)
        return _plain(config)


def _plain(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return plain  # type: ignore[no-any-return]


def _collect_methods() -> None:
    """Let the knobs of every method into the configuration as method.NAME, and the files of conf/method/ over them."""
    from harness import methods

    files = [{f"method@method.{file.stem}": file.stem} for file in _files("method")]
    knobs = {name: _knobs(methods.knobs(methods.find(name))) for name in methods.names()}
    ConfigStore.instance().store(name="every_method", node={"defaults": ["_self_", *files], "method": knobs})


def _count_gpus() -> None:
    """Let conf/launcher/ ask for the GPUs of this machine, by functions that are called when a launcher is made."""
    from harness.sweep.gpus import gpus_here, gpus_of_a_job, jobs_at_once

    for function in (gpus_here, gpus_of_a_job, jobs_at_once):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)


def _knobs(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's knobs as a configuration begins with them: null is left to the solver or to the default."""
    own = {knob: default if isinstance(default, PLAIN) else None for knob, default in defaults.items()}
    return {knob: f"${{{knob}}}" if knob in OF_ALL else default for knob, default in own.items()}


def _composing(folder: Path | None = None, overrides: Sequence[str] = ()) -> AbstractContextManager[Any]:
    """Let Hydra compose from conf/, and a folder beside it, in a with statement."""
    _collect_methods()
    return composing(CONF, folder, overrides)


def _is_multirun(engine: Any, overrides: Sequence[str], asked: bool) -> bool:
    """Say if there is a job for each value, as asked for or as the configuration says. Raises InputError."""
    options = {"with_log_configuration": False, "validate_sweep_overrides": False}
    config = engine.compose_config(NAME, [*overrides], run_mode=RunMode.MULTIRUN, **options)
    many = asked or config.hydra.mode == RunMode.MULTIRUN
    if many:
        check_lines(OmegaConf.to_container(config.hydra.launcher, resolve=True))
    return bool(many)
