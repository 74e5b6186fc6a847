"""Our numbers against the ones the paper published: where they came from is in README.md beside this file."""
