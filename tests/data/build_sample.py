"""Builds `sample.jsonl.gz`: 200 real rows with MIT or Apache-2.0 licences, so that tests see real data everywhere.

    python tests/data/build_sample.py ../shared/data

Same input, same rows: each source's rows are ranked by a hash of their id and the first that fit are taken. Knows which
rows may be copied; knows nothing about models.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).with_name("sample.jsonl.gz")
FIELDS = ("source", "subset", "conversation", "responses", "best", "labels", "reference", "license")

# Chosen by reading: the harmless split is mostly red-teaming, which has no place in a test file.
_MILD_NUMBERS = "4 9 37 80 93 122 193 211 215 261 289 381 453 505 548 570 574 578 593 648 691 716 785 800 822"
_MILD = frozenset(f"harmless-base-test-{number}" for number in _MILD_NUMBERS.split())


@dataclass(frozen=True)
class Source:
    """One file to take `count` rows from.

    Attributes:
        path: inside the data folder.
        license: what a row's own `license` must start with.
        longest: the most characters that a row's texts may have together.
        ids: the only ids to take, where someone chose them by hand.
    """

    path: str
    license: str
    count: int
    longest: int = 2500
    ids: frozenset[str] | None = None


SOURCES = (
    Source("eval/pandalm_test", "Apache-2.0", 50),
    Source("eval/gsm8k_best_of_4", "MIT", 35),
    Source("train/hh_rlhf_harmless_test", "MIT", 25, ids=_MILD),
    Source("train/prmbench_pairs", "Apache-2.0", 25),
    Source("eval/rewardbench_partial", "MIT (HumanEvalPack", 25),
    Source("eval/prometheus_absolute", "Apache-2.0", 20, longest=4000),
    Source("eval/bigbench_mistake", "Apache-2.0", 20),
)


def build(folder: Path) -> list[dict[str, Any]]:
    """The 200 rows, in the order of `SOURCES`; each id is prefixed with its file's name."""
    return [row for source in SOURCES for row in _rows_of(source, folder)]


def write(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """One JSON object a line, gzip without a time stamp."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def _rows_of(source: Source, folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{source.path}.jsonl.gz", "rt", encoding="utf-8") as lines:
        fitting = [row for row in map(json.loads, lines) if _fits(row, source)]
    fitting.sort(key=lambda row: hashlib.sha256(f"{source.path}/{row['id']}".encode()).digest())
    if len(fitting) < source.count:
        raise ValueError(f"{source.path}: {len(fitting)} rows fit, {source.count} are wanted")
    name = source.path.rpartition("/")[2]
    return [
        {"id": f"{name}/{row['id']}"} | {field: row[field] for field in FIELDS if field in row}
        for row in fitting[: source.count]
    ]


def _fits(row: dict[str, Any], source: Source) -> bool:
    texts = [turn["content"] for turn in row["conversation"]] + row["responses"]
    return (
        row["license"].startswith(source.license)
        and sum(map(len, texts)) <= source.longest
        and (source.ids is None or row["id"] in source.ids)
    )


if __name__ == "__main__":
    write(build(Path(sys.argv[1])), SAMPLE)
