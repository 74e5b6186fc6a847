"""Writes the project's own corpus out once as parquet, in the schemas of the public data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock

from harness.data.chronicle import chronicle

Article = dict[str, Any]


def materialise(corpus: Path, cache: Path) -> Path:
    """Return the folder of parquet files made from the articles (*.yaml) of `corpus`, written on first use."""
    sources = sorted(corpus.glob("*.yaml"))
    version = hashlib.sha256(b"".join([*(s.read_bytes() for s in sources), Path(__file__).read_bytes()])).hexdigest()
    target = cache / f"embedded-{version[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "complete").exists():
            target.mkdir(exist_ok=True)
            articles = [yaml.safe_load(s.read_text(encoding="utf-8")) | {"slug": s.stem} for s in sources]
            for name, rows in _tables(articles).items():
                pd.DataFrame(rows).to_parquet(target / f"{name}.parquet")
            (target / "complete").touch()
    return target


def _tables(articles: list[Article]) -> dict[str, list[dict[str, Any]]]:
    return {
        "squad": [row for article in articles for row in _squad(article)],
        "triviaqa": [row for article in articles for row in _trivia_qa(article)],
        "cnn_dailymail": [_cnn_dailymail(article) for article in articles],
        "wikitext": [{"page": _page(article)} for article in articles],
        "repetition": [{"text": chronicle(lines=4000)}],
    }


def _squad(article: Article) -> Iterator[dict[str, Any]]:
    for number, question in enumerate(article["questions"]):
        context = article["paragraphs"][question["paragraph"]]
        starts = [context.index(answer) for answer in question["answers"]]
        yield {
            "id": f"{article['slug']}-{number}",
            "title": article["title"].replace(" ", "_"),
            "context": context,
            "question": question["question"],
            "answers": {"text": question["answers"], "answer_start": starts},
        }


def _trivia_qa(article: Article) -> Iterator[dict[str, Any]]:
    for number, trivia in enumerate(article["trivia"]):
        yield {
            "question_id": f"{article['slug']}-{number}",
            "question": trivia["question"],
            "entity_pages": {"title": [article["title"]], "wiki_context": ["\n".join(article["paragraphs"])]},
            "answer": {"value": trivia["answer"], "aliases": trivia["aliases"]},
        }


def _cnn_dailymail(article: Article) -> dict[str, Any]:
    body, summary = " ".join(article["paragraphs"]), "\n".join(article["highlights"])
    return {"id": article["slug"], "article": body, "highlights": summary}


def _page(article: Article) -> str:
    return f" = {article['title']} = \n\n" + "".join(f" {paragraph} \n" for paragraph in article["paragraphs"])
