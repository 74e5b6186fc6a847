"""Composes configurations from conf/ with Hydra. Nobody else knows Hydra or reads conf/.

Nothing here needs torch before something is composed, so that --help answers at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.commands.quoting import ambiguous, unreadable
from harness.commands.vetting import check_arguments
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
JOBS, AUTO = "hydra.launcher.n_jobs", "${jobs_at_once:${model.device},${model.device_map}}"
"""The key of joblib's number of jobs at a time, an integer to the launcher, and what stands for `auto` there."""
NOISE = ("full_key", "object_type", "reference_type", "Set the", "Config search path", "provider=")
"""Beginnings of lines of Hydra's errors that say where it looked, not what is wrong."""


class Label(NamedTuple):
    """Names one of the jobs of a launch: its number, and the values that tell it from the others."""

    number: int
    overrides: str


def launch(arguments: Sequence[str], job: Callable[[dict[str, Any], Label], None]) -> None:
    """Let Hydra compose one configuration, or several with -m, and call a job with each, in whatever process.

    Raises InputError for a configuration that does not compose, and what jobs raise in this process.
    """
    check_arguments(arguments)
    sys.argv = ["harness run", *(f"{JOBS}='{AUTO}'" if given == f"{JOBS}=auto" else given for given in arguments)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, do not print and exit: errors are worded in one place
    _collect_methods()
    _count_gpus()

    def task(config: DictConfig) -> None:
        this = HydraConfig.get().job
        job(_plain(config), Label(this.get("num", 0), this.override_dirname))

    with _worded():
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()


def compositions(overrides: Sequence[str]) -> list[dict[str, Any]]:
    """Return the plain configuration of every job that `harness run -m` would run with these key=value arguments.

    Raises InputError.
    """
    check_arguments(overrides)
    with _composing():
        parser = OverridesParser.create()
        fixed = [o.input_line for o in parser.parse_overrides(list(overrides)) if not o.is_sweep_override()]
        params = hydra.compose("config", fixed, return_hydra_config=True).hydra.sweeper.params or {}
        axes: dict[str, list[str]] = {}
        for override in parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *overrides]):
            key, swept = override.get_key_element(), override.is_sweep_override()
            values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
            axes[key] = [f"{key}={value}" for value in values]
        return [_plain(hydra.compose("config", list(chosen))) for chosen in itertools.product(*axes.values())]


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
        config = hydra.compose("config", [f"model={name}"])
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


@contextmanager
def _composing() -> Iterator[None]:
    """Let Hydra compose from conf/ while this lasts."""
    _collect_methods()
    with _worded(), hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@contextmanager
def _worded() -> Iterator[None]:
    """Raise what goes wrong while a configuration is composed as InputError, in one sentence."""
    try:
        yield
    except OverrideParseException as error:
        raise InputError(unreadable(str(error.override))) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    """Keep of an error's lines those that say what is wrong, and add where the right names are."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if sentence := ambiguous(line):
            return sentence
    said = [line for line in lines if not line.startswith(NOISE)]
    hint = "see `harness run --cfg job` for every key, `harness list` for every name"
    if any("hydra/launcher" in line for line in said):
        hint = "launchers come with pip install 'harness[joblib]', 'harness[slurm]' or 'harness[ray]'"
    return f"{' '.join(said)} ({hint})"
