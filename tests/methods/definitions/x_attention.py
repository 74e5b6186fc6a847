"""XAttention's decode steps are dense; its prefill is compared with the authors' numbers."""

KNOBS = {"threshold": 0.3, "stride": 2, "block_size": 4, "chunk": 8}
FULL = {"threshold": 1.1}
