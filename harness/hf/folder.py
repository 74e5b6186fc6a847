"""Says what lies in a checkpoint's folder that is no whole model, or would run code."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError
from harness.hf.spec import ModelSpec

ADAPTER = "adapter_config.json"


def check_folder(spec: ModelSpec, path: str) -> None:
    """Raise InputError for adapters, also beside weights, for pickled weights, and for a revision that is not read."""
    folder = Path(path)
    if not folder.is_dir():
        return
    if (folder / ADAPTER).exists():
        raise InputError(
            f"model '{spec.name}': {spec.path} holds an adapter ({ADAPTER}), whose base model would be loaded in place "
            "of it: merge it into its base (peft: merge_and_unload) and name the folder of the merged model"
        )
    if spec.revision is not None:
        raise InputError(f"model '{spec.name}': model.revision={spec.revision} is of the hub, {spec.path} is a folder")
    if not spec.allow_pickle:
        _check_no_pickle(spec.name, folder)


def _check_no_pickle(name: str, folder: Path) -> None:
    """Raise InputError for weights in pickles, which run code when they are read."""
    if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.gguf")):
        raise InputError(f"model '{name}': its weights are pickled (.bin), which can run code: model.allow_pickle=true")
