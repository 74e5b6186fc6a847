"""Says what a method is: how it is called in print, where it was published, and which memory it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Access = Literal["all", "positions", "history", "keys", "channels", "index"]
"""How a decode step finds what it reads, which decides how long its kernels take beside the bytes that they move.

all: every row of K and V. positions: rows whose place is known beforehand. history: rows that scores of earlier steps
choose. keys: all of K chooses, then rows are read. channels: some channels of all keys choose, which a second copy of
K, stored by channels, serves without reading whole rows. index: an index of the method's own chooses.
"""


@dataclass(frozen=True)
class Paper:
    """Describes a publication: authors separated by commas, venue "" for a preprint, arxiv "" where it is not there."""

    title: str
    authors: str
    year: int
    arxiv: str = ""
    venue: str = ""

    @property
    def cite(self) -> str:
        """Return the source in a few words, such as "Ribar et al., ICML 2024, arXiv 2312.04985"."""
        number = f", arXiv {self.arxiv}" if self.arxiv else ""
        return f"{self._surname} et al., {f'{self.venue} {self.year}'.strip()}{number}"

    @property
    def bibtex(self) -> str:
        """Return the entry of a bibliography. Its key is the first author, the year, and the title's first word."""
        kind, where = ("inproceedings", {"booktitle": self.venue}) if self.venue else ("misc", {})
        word = re.match(r"\w+", self.title)
        key = f"{self._surname}{self.year}{word[0] if word else ''}".lower()
        fields = {"title": f"{{{self.title}}}", "author": self.authors.replace(", ", " and "), **where}
        fields |= {"year": str(self.year)} | ({"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {})
        return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items()) + "}\n"

    @property
    def _surname(self) -> str:
        return self.authors.split(", ")[0].split()[-1]


@dataclass(frozen=True, kw_only=True)
class About:
    """Describes a method; its family is the folder of its file, and the folder `controls` holds what is no technique.

    `note` says in a clause what differs from the publication, and stands wherever the method is listed. `not_runnable`
    says in a clause what no run has that the method needs; it is listed, and refused by a grid. `title`, `access` and
    `note` must be literals: the report reads them from the file, without importing it (and torch).
    """

    title: str
    access: Access
    paper: Paper | None = None
    note: str = ""
    not_runnable: str = ""
