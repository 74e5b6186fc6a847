"""Holds the subcommands of `harness bench`, one file each."""

ABOUT = "Measure how long a decode step takes, of attention alone or of a whole model, beside its error."
EPILOG = "`harness figures fig-attention-time --bench FILE` draws what `--out FILE` wrote.\n"
