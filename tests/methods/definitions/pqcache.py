"""PQCache scores old tokens by codes of their keys (golden numbers)."""

KNOBS = {"k": 4, "recent": 2, "sinks": 1, "n_bits": 2, "max_iter": 5}
VARIANTS = [{"k": 3, "sinks": 0, "n_subvec": 4, "n_bits": 1}]
