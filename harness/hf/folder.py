"""Says what lies in a checkpoint's folder that is no whole model, or would run code."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError
from harness.hf.located import Located
from harness.hf.spec import ModelSpec
from harness.hf.vetting.files import check_file, check_files

ADAPTER = "adapter_config.json"
DISTRIBUTED = "shard-*-model-*-of-*.safetensors"
"""Files of a training on several machines, which transformers would read in place of the model's."""


def check_folder(spec: ModelSpec, path: str) -> None:
    """Raise InputError for what is no plain file, for pickled weights, and for the files of a distributed training.

    So it does for a revision that is not read.
    """
    folder = Located(path).folder
    if folder is None:
        return
    check_files(spec.name, folder)
    if spec.gguf_file is not None and (folder / spec.gguf_file).exists():
        check_file(spec.name, folder / spec.gguf_file, folder.resolve())
    if any(folder.glob(DISTRIBUTED)):
        raise InputError(
            f"model '{spec.name}': {spec.path} holds parts of a distributed training ({DISTRIBUTED}): load them with "
            "transformers once, and save the whole model with save_pretrained"
        )
    if spec.revision is not None:
        raise InputError(f"model '{spec.name}': model.revision={spec.revision} is of the hub, {spec.path} is a folder")
    if not spec.allow_pickle:
        _check_no_pickle(spec.name, folder)


def check_borrowed(name: str, path: str) -> None:
    """Raise InputError for a folder of a tokenizer that holds what is no plain file."""
    folder = Located(path).folder
    if folder is not None:
        check_files(name, folder)


def check_no_adapter(spec: ModelSpec, path: str) -> None:
    """Raise InputError for an adapter, also beside weights, in a folder or on the hub."""
    if Located(path, spec.revision).find(ADAPTER) is not None:
        raise InputError(
            f"model '{spec.name}': {spec.path} holds an adapter ({ADAPTER}), whose base model would be loaded in place "
            "of it: merge it into its base (peft: merge_and_unload) and name the folder of the merged model"
        )


def _check_no_pickle(name: str, folder: Path) -> None:
    """Raise InputError for weights in pickles, which run code when they are read."""
    if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.gguf")):
        raise InputError(f"model '{name}': its weights are pickled (.bin), which can run code: model.allow_pickle=true")
