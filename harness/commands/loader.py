"""Composes as Hydra does, but hands out no configuration that `vetting` refuses.

Hydra composes again and again: to learn its mode, to run, to check a batch of jobs, and for each job in whatever
process a launcher starts. All of it goes through the loader here, so what Hydra makes anything from is what was judged.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.commands.folder import check_folder
from harness.commands.quoting import ambiguous, unreadable
from harness.commands.vetting import AUTO, LAUNCHERS, Key, check_hydra, check_job, leaves
from harness.errors import InputError

NAME = "config"
"""The file that a configuration begins with."""
AUTO_JOBS = "hydra.launcher.n_jobs=auto"
NOISE = ("full_key", "object_type", "reference_type", "Set the", "Config search path", "provider=")
"""Beginnings of lines of Hydra's errors that say where it looked, not what is wrong."""


class VettedLoader(ConfigLoaderImpl):  # type: ignore[misc]
    """Loads from a folder of configuration, and from a further one beside it, whose files are trusted as data only."""

    def __init__(self, conf: Path, folder: Path | None, typed: Collection[Key]) -> None:
        path = create_config_search_path(str(conf))
        if folder is not None:
            path.prepend("command-line", f"file://{folder.absolute()}", SearchPathQuery(provider="schema"))
        super().__init__(path)
        self._conf = conf
        self._typed = None if folder is None else typed

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, **options: bool
    ) -> DictConfig:
        """Compose, and judge. Raises InputError for what does not compose, and for what vetting refuses."""
        given = [f"hydra.launcher.n_jobs='{AUTO}'" if one == AUTO_JOBS else one for one in overrides]
        with worded(whatever=True):
            parsed(given)
            config: DictConfig = super().load_configuration(config_name, given, run_mode, **options)
            tree: Any = OmegaConf.to_container(config, resolve=False)
            own = own_tree(self._conf, *_launcher(tree))
        check_hydra(tree.pop("hydra"), own, self._typed)
        check_job(tree, self._typed)
        return config


@contextmanager
def composing(conf: Path, folder: Path | None = None, arguments: Sequence[str] = ()) -> Iterator[Any]:
    """Let Hydra compose from conf, and from a folder beside it, while this lasts; yields what runs and shows.

    Raises InputError for a folder that is none, and for arguments that cannot be read.
    """
    if folder is not None:
        check_folder(folder)
    typed = [key for one in parsed(arguments) for key, _ in leaves(one.value(), tuple(one.key_or_group.split(".")))]
    with worded(), hydra.initialize_config_dir(str(conf), job_name="harness", version_base="1.3"):
        engine = GlobalHydra.instance().hydra
        engine.config_loader = VettedLoader(conf, folder, frozenset(typed))
        yield engine


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Read overrides.

    Raises InputError for one that cannot be read, and for a search path: it may name packages, which are imported to
    look into them.
    """
    with worded():
        found: list[Override] = OverridesParser.create().parse_overrides([*overrides])
    for override in found:
        if override.key_or_group.startswith("hydra.searchpath"):
            raise InputError(f"{override.input_line}: a further folder is given with --config-dir=FOLDER")
    return found


@contextmanager
def worded(whatever: bool = False) -> Iterator[None]:
    """Raise what goes wrong while a configuration is composed as InputError, in one sentence.

    `whatever` goes wrong, where nothing but input is read: Hydra meets a file that is no configuration with errors of
    Python's, of YAML's and of its own.
    """
    try:
        yield
    except InputError:
        raise
    except OverrideParseException as error:
        raise InputError(unreadable(str(error.override))) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    except Exception as error:
        if not whatever:
            raise
        raise InputError(f"the configuration cannot be composed: {type(error).__name__}: {_sentence(error)}") from error


def _launcher(tree: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return which launcher of Hydra's a configuration chose, and which file of conf/launcher/. Raises InputError."""
    chosen = tree["hydra"]["runtime"]["choices"]
    name, settings = chosen.get("hydra/launcher"), chosen.get("launcher")
    if name not in LAUNCHERS:
        raise InputError(f"hydra/launcher={name}: choose from {', '.join(LAUNCHERS)}")
    return name, settings


@functools.cache
def own_tree(conf: Path, launcher: str, settings: str | None) -> dict[str, Any]:
    """Return Hydra's part of the configuration as conf/ alone composes it, for a launcher. Raises InputError."""
    loader = ConfigLoaderImpl(create_config_search_path(str(conf)))
    chosen = [f"launcher={settings}"] if (conf / "launcher" / f"{settings}.yaml").is_file() else []
    config = loader.load_configuration(NAME, [f"hydra/launcher={launcher}", *chosen], RunMode.MULTIRUN)
    own: dict[str, Any] = OmegaConf.to_container(config.hydra, resolve=False)  # type: ignore[assignment]
    if own["launcher"]["_target_"] != LAUNCHERS[launcher]:
        raise InputError(f"hydra/launcher={launcher} is {own['launcher']['_target_']}, not {LAUNCHERS[launcher]}")
    return own


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
