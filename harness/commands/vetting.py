"""Judges a composed configuration before Hydra makes anything from it: a configuration is data, and runs no code.

Trees are plain, their references (${...}) not resolved, so that nothing is judged that could be another value later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.errors import InputError

Key = tuple[Any, ...]
Tree = Mapping[Any, Any]

LAUNCHERS = {
    "basic": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "joblib": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "ray": "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
}
"""What `hydra/launcher` may name, and the class that Hydra makes of it."""
AUTO = "${jobs_at_once:${model.device},${model.device_map}}"
"""What `auto` stands for as joblib's number of jobs, which is an integer to the launcher."""
_ABSENT = object()


def _keys(*dotted: str) -> tuple[Key, ...]:
    return tuple(tuple(key.split(".")) for key in dotted)


FREE = _keys("mode", "verbose", "overrides", "runtime", "sweeper.params", "job.override_dirname", "job.config_name")
"""Keys of Hydra's that Hydra writes itself, or that become overrides, which are judged with the job that has them."""
NUMBERS = _keys("launcher", "sweeper.max_batch_size")
"""Where numbers, true, false and null may replace what stands there; texts are commands, folders and names of code."""
NEW = _keys("launcher.ray.init", "launcher.ray.remote")
"""Where numbers may be added: arguments of functions, which are declared nowhere."""
TEXTS = _keys(
    "job.name",
    *(f"launcher.{key}" for key in "name partition qos account comment constraint exclude gres".split()),
    *(f"launcher.{key}" for key in "mem_per_gpu mem_per_cpu batch_size".split()),
)
"""Texts of one line that name a resource of a cluster, or a job."""
CLUSTER = ("launcher", "ray", "init", "address")
"""Names a cluster, which sends pickles back."""
TYPED = _keys(
    "model.trust_remote_code",
    "model.allow_pickle",
    "task.name",
    "task.include_path",
    "task.overrides",
    "task.metadata",
    "task.confirm_run_unsafe_code",
)
"""Keys that let code run, which comes with a model or stands in a task's YAML, its templates or its tokenizer."""


def check_hydra(found: Any, own: Tree, typed: Collection[Key] | None) -> None:
    """Raise InputError where Hydra's part of a configuration differs from our own in more than launchers are told.

    `typed` are the keys given on the command line; None where nothing but conf/ and the command line was read.
    """
    for key, value in _differences(found, own):
        if not _may_be(key, value, _at(own, key), typed):
            raise InputError(
                f"{_dotted(('hydra', *key))} may not be set: a configuration runs no code, so of Hydra's own keys it "
                "has mode, verbose, sweeper.params and what a launcher counts or a cluster names (docs/reliability.md)"
            )


def check_job(tree: Tree, typed: Collection[Key] | None) -> None:
    """Raise InputError for a `_target_`, and for a key of TYPED that a file of a further folder sets by itself."""
    for key, value in leaves(tree):
        if "_target_" in key:
            raise InputError(f"{_dotted(key)} may not be set: a configuration constructs nothing (docs/reliability.md)")
        if typed is not None and key not in typed and _lets_code_run(key, value):
            raise InputError(
                f"{_dotted(key)} is set by a file of --config-dir, and can run code: give it on the command line, "
                "if you trust what it names"
            )


def check_lines(tree: Any) -> None:
    """Raise InputError for a text of a launcher, resolved, that is not of one line: a script of a shell is made of it.

    Folders are among them, which are named after `results`.
    """
    for key, value in leaves(tree):
        if isinstance(value, str) and not value.isprintable():
            name = _dotted(("hydra.launcher", *key))
            raise InputError(f"{name}={value!r} must be printable, of one line (folders are named after `results`)")


def _may_be(key: Key, value: Any, own: Any, typed: Collection[Key] | None) -> bool:
    """Say if a key of Hydra's may have a value that is not our own."""
    if "_target_" in key or _below(key, FREE):
        return "_target_" not in key
    match value:
        case None | bool() | int() | float() if not isinstance(own, Mapping):
            return _below(key, NEW) or (_below(key, NUMBERS) and own is not _ABSENT)
        case str() if key == CLUSTER:
            return typed is None or ("hydra", *key) in typed
        case str():
            return (key in TEXTS and value.isprintable() and "${" not in value) or (
                key == ("launcher", "n_jobs") and value == AUTO
            )
        case _:
            return False


def _lets_code_run(key: Key, value: Any) -> bool:
    """Say if a value switches on or names what runs code; a task's name does where it is the path of a YAML."""
    guarded = any(key[: len(one)] == one[: len(key)] for one in TYPED)  # above one of them too: a reference to a tree
    if key == ("task", "name"):
        return not isinstance(value, str) or "$" in value or value.endswith((".yaml", ".yml"))
    return guarded and value not in (None, False, "???", {}, [])


def _differences(found: Any, own: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every key whose value is not our own, with the value; _ABSENT for one that was taken away."""
    if isinstance(found, Mapping) and found and (isinstance(own, Mapping) or own is _ABSENT):
        known = own if isinstance(own, Mapping) else {}
        for name in [*known, *(name for name in found if name not in known)]:
            yield from _differences(found.get(name, _ABSENT), known.get(name, _ABSENT), (*key, name))
    elif found != own:
        yield key, found


def leaves(tree: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value that is no tree, with its key; of lists too."""
    match tree:
        case Mapping() if tree:
            for name, inner in tree.items():
                yield from leaves(inner, (*key, name))
        case [_, *_]:
            for number, inner in enumerate(tree):
                yield from leaves(inner, (*key, number))
        case _:
            yield key, tree


def _at(tree: Any, key: Key) -> Any:
    """Look a key up; _ABSENT where there is none."""
    for name in key:
        tree = tree.get(name, _ABSENT) if isinstance(tree, Mapping) else _ABSENT
    return tree


def _below(key: Key, keys: Collection[Key]) -> bool:
    return any(key[: len(one)] == one for one in keys)


def _dotted(key: Key) -> str:
    return ".".join(map(str, key))
