"""Holds the commands of the command line: NAME.py is `harness NAME`, a folder holds the subcommands of one.

A command's file has ABOUT (one sentence, read without importing the file), `add_arguments(parser)` and `run(given)`;
`given.arguments` are the words as they were typed. Files without ABOUT help the commands; nothing lists any.
"""

ABOUT = "Evaluate decode-time KV-cache techniques: what they move, and what they lose."
EPILOG = """A first result takes minutes: harness run experiment=quickstart
Results go to results/: summary.csv joins all runs. README.md leads on from there.
"""
