"""One dense prefill per prompt, then every method decodes from it, side by side."""

from harness.engine.engine import Answer, Engine, Work

__all__ = ["Answer", "Engine", "Work"]
