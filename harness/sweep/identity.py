"""Says what an output depends on besides its prompt and its cell, part by part."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.data.sources import Source
from harness.hf import Checkpoint
from harness.store.description import Description, as_mapping, read_description
from harness.store.notes import Notes
from harness.sweep.job import Job
from harness.sweep.protocol import PROTOCOL, changes_since

MODEL_FILES = "the model's files"


@dataclass(frozen=True)
class Identity:
    """Holds by name what must agree before a stored output may be used again: what was asked for, and what was found.

    What a task makes of its YAML, its code, its rows and a chat template is the text of its requests, which outputs are
    stored under (harness/evaluation/requests.py). A path stands for its bytes, a hub id for its commit. What is
    computed besides the outputs is named only where it is asked for.
    """

    asked: Mapping[str, Any]
    found: Mapping[str, Any]

    @classmethod
    def of(cls, job: Job, checkpoint: Checkpoint, source: Source) -> Identity:
        """Take the identity of a job; reads every byte of a local checkpoint."""
        model, generation = job.model, checkpoint.generation()
        asked = {
            "model": [model.gguf_file, model.dtype, model.trust_remote_code, checkpoint.max_length],
            "kernel": job.engine.kernel,
            "task": [job.task.name, job.task.settings],
            "arguments": {name: value for name, value in source.arguments.items() if name != "source"},
            **({"divergence": True} if job.divergence else {}),
        }
        found = {
            "the source of its rows": source.name,
            MODEL_FILES: checkpoint.fingerprint(),
            "the tokenizer's files": checkpoint.tokenizer_fingerprint(),
            "the settings of generation": [sorted(generation.ends), dict(generation.settings)],
            "the kind of device": checkpoint.device.partition(":")[0],
        }
        return cls(*json.loads(json.dumps([asked, found], default=str)))

    @property
    def key(self) -> str:
        """Hash everything, and the protocol."""
        text = json.dumps([PROTOCOL, self.asked, self.found], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def not_reused(folder: Path, job: Job, identity: Identity) -> Iterator[str]:
    """Say why folders beside this one are not gone on with, though they hold the same model, task and data by name.

    Those that were asked for something else are passed over. The last part of a folder's name begins its key.
    """
    reasons: dict[str, list[str]] = {}
    for file in sorted(folder.parent.glob(f"{glob.escape(folder.name.rpartition('-')[0])}-*/run.json")):
        described = read_description(file.parent, Notes()).description
        if file.parent != folder and _named(described.config) == _named(asdict(job)):
            reasons.setdefault(_reason(described, identity), []).append(file.parent.name)
    for reason, folders in reasons.items():
        if reason:
            yield f"not reused: {', '.join(folders)} ({reason})"


def _named(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what names a run's model, task and data, as its run.json has it."""
    model, task, data = (as_mapping(config.get(part)) for part in ("model", "task", "data"))
    return *(model.get(key) for key in ("name", "path", "tokenizer", "revision")), task.get("name"), data.get("kind")


def _reason(described: Description, identity: Identity) -> str:
    """Say which other protocol a run followed, or what was found to be others; "" where other things were asked for."""
    protocol = described.protocol
    if protocol != PROTOCOL:
        changed = changes_since(protocol) if isinstance(protocol, int) else ()
        return f"computed under protocol {protocol}, not {PROTOCOL}: {'; '.join(changed) or 'it is of another version'}"
    before = described.identity
    if before.get("asked") != identity.asked:
        return ""
    was = as_mapping(before.get("found"))
    return f"not as before: {', '.join(name for name, value in identity.found.items() if was.get(name) != value)}"
