"""Describes a model as a file of conf/model/ does."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import InputError
from harness.names import check_name

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways to place layers on the GPUs that are seen, as transformers names them."""
DTYPES = ("float32", "bfloat16", "float16", "float64")
PACKAGE = "package:"
"""Begins a path whose weights lie in Python packages (harness/hf/packaged.py)."""


@dataclass(frozen=True)
class ModelSpec:
    """Names a model and how to load it.

    `path` is a hub id, a local folder, package:NAME==VERSION/FILE.gguf for weights inside a package (or several such
    parts, with spaces between, that make a file of hash sha256), or shape:NAME for a folder of harness/hf/shapes/, to
    be used with random_weights. `tokenizer` is such a path where another one is borrowed. `license` names terms that
    whoever runs the model agrees to, where they ask for it; every run says them.
    `device` is where the model runs, unless a `device_map` spreads its layers over all GPUs that are seen.
    max_length overrides the architecture's own limit on positions; reallocate and trivia_cue are how the paper ran
    this family (SparQ's reallocation, the words before a TriviaQA answer).
    """

    name: str
    path: str
    gguf_file: str | None = None
    sha256: str | None = None
    license: str | None = None
    tokenizer: str | None = None
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    device_map: str | None = None
    max_length: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    random_weights: bool = False
    reallocate: bool = True
    trivia_cue: str = "Answer:"

    def __post_init__(self) -> None:
        check_name("model.name", self.name)
        if self.dtype not in DTYPES:
            raise InputError(f"model.dtype={self.dtype} is unknown: choose from {', '.join(DTYPES)}")
        if self.device_map not in (None, *DEVICE_MAPS):
            known = ", ".join(DEVICE_MAPS)
            raise InputError(f"model.device_map={self.device_map} is unknown: choose from {known}, or null for one GPU")
        if self.device_map and self.device not in ("auto", "cuda"):
            raise InputError(
                f"model.device_map={self.device_map} places layers by itself: leave model.device=auto, or choose "
                f"model.device_map=null with model.device={self.device}"
            )
        if self.max_length is not None and self.max_length < 1:
            raise InputError(f"model.max_length={self.max_length} must be at least 1")
        if self.sha256 is not None and not self.path.startswith(PACKAGE):
            raise InputError(f"model.sha256 is of a file in packages ({PACKAGE}...), {self.path} is none: use null")
