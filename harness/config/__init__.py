"""A job's configuration: plain data in, checked and frozen dataclasses out. No file here knows Hydra."""
