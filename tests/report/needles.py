"""A results folder of needle runs made by hand: two lengths, each a task, and what was found."""

from .folders import Cell, Folder


def write_needles(root):
    """Dense finds all; SparQ at 8x, with another k for each length, misses the deep one of the shorter length."""
    for length, found, depths in ((1024, [1, 0], [0.0, 1.0]), (2048, [1], [0.0])):
        cells = [Cell("dense", [1] * len(found)), Cell("sparq", found, 8.1, {"k": length // 16}, 8)]
        columns = {"length": [float(length)] * len(found), "depth": depths}
        Folder(cells, task=f"needle_{length}", columns=columns).write(root)
