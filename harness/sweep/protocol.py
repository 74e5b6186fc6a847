"""Numbers the rules that a cell's numbers follow, and says what each number changed."""

from __future__ import annotations

from collections.abc import Mapping

PROTOCOL = 8
"""Raised whenever the same cell would give other numbers; results of another protocol are never reused."""

CHANGES: Mapping[int, tuple[str, ...]] = {
    2: ("on CUDA, H2O's numbers come from a kernel",),
    3: (
        "repetition counts the whole reference where an output has no mistake, however short it is, as the authors do",
        "an output is reused only where the tokenizer is, byte for byte, the one that made it",
        "knobs are solved for a ratio over all layers of the model, with their windows and widths",
        "texts of the paper's tasks keep their special tokens, and a prompt of theirs that is cut its start token",
        "a generation ends at the tokens that config.json and generation_config.json name, and follows their settings",
        "every member of a group or tag of lm-eval's is asked, not the last one alone; rows of one id are told apart",
        "rows of different lengths share no pass where the model counts columns or looks for the longest row",
        "a rolling text is cut into lm-eval's windows; no start token is doubled; max_tokens bounds a generation",
    ),
    4: ("on CUDA, what H2O starts from keeps to a layer's sliding window, and does not depend on LRU beside it",),
    5: (
        "KIVI's tokens are added up in the order of a row's own, and read back from packed codes: other last bits",
        "keys are turned by a fused sum: other last bits of methods that turn or un-rotate them",
    ),
    6: ("on CUDA, kernels choose tokens another way and sum what they attend to in another order: other last bits",),
    7: (
        "on CUDA, Quest, Loki, Double Sparsity and ShadowKV are computed by kernels, by an index in float32",
        "on CUDA, few tokens are chosen and attended to in one launch: other last bits",
    ),
    8: ("batches are cut by what a batch takes at its prefill and while it decodes: other rows beside each other",),
}
"""What each protocol changed, a clause per change."""


def changes_since(protocol: int) -> tuple[str, ...]:
    """List what later protocols than this one changed."""
    return tuple(change for number in sorted(CHANGES) if number > protocol for change in CHANGES[number])
