"""Describes where a number comes from: commit, versions, machine, command line."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("harness", "torch", "transformers", "lm-eval", "datasets", "hydra-core", "pandas")


def provenance() -> dict[str, Any]:
    """Describe everything about this process that a result may depend on."""
    return {
        "argv": sys.argv,
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def commit() -> str:
    """Find the checkout's git commit, with "+changes" if files differ from it; "unknown" outside a checkout."""
    where = Path(__file__).parent
    try:
        head = _git(where, "rev-parse", "HEAD")
        return head + ("+changes" if _git(where, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
