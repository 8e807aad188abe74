"""Which items a judge may be trained on, as the recipes ask for them: read, licensed, decontaminated, not too easy.

    rows: [runs/contrast/train.jsonl.gz, ultrafeedback]
    benchmarks: [rewardbench]
    reference_store: runs/base-judgements

Every step says what it left out. Knows nothing about judges or trainers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..benchmarks import BENCHMARKS
from ..types_grm import InvalidInput
from .decontamination import Benchmarks, benchmark_prompts, decontaminate, prompts_of, report_of
from .filters import check_licences, solved, without
from .preference import Preference, Report, unique
from .sources import items_of


@dataclass
class DataArguments:
    """What is trained on.

    Args:
        rows: preference rows: files, folders or Hub ids, or names of `modeling_grm.data.sources.SOURCES`.
        split: of folders and Hub ids.
        format: of the rows, a name of `modeling_grm.data.converters.FORMATS`; found by their columns if left out.
        limit: that many rows of each, at most.
        allow_licences: beside apache-2.0 and mit; in the rows' own words.
        benchmarks: whose prompts must not be trained on: files of rows, or names of `grm bench --list`, with
            `NAME=FOLDER` where the rows lie in a folder.
        ngram: so many words in a row, shared with a benchmark's prompt, are too many.
        reference_store: trajectories of a reference model; items that it gets right `reference_samples` times of as
            many are left out.
        reference_samples: how many of its samples must all be right.
    """

    rows: list[str] = field(default_factory=list)
    split: str = "train"
    format: str | None = None
    limit: int | None = None
    allow_licences: list[str] = field(default_factory=list)
    benchmarks: list[str] = field(default_factory=list)
    ngram: int = 13
    reference_store: str | None = None
    reference_samples: int = 3


def training_items(args: DataArguments, report: Report, said: dict[str, Any]) -> list[Preference]:
    """All items that may be trained on, each once.

    Args:
        report: counts the rows that are no items, and why.
        said: gets what decontamination and the reference model left out.

    Raises:
        InvalidInput: no rows given, rows that cannot be read, a licence that was not agreed to, or nothing left.
    """
    if not args.rows:
        raise InvalidInput("rows: none given; name at least one file, folder, Hub id or source")
    found = [
        item for name in args.rows
        for item in items_of(name, report, split=args.split, format=args.format, limit=args.limit)
    ]  # fmt: skip
    report.check()
    items = list(unique(found, report))
    check_licences(items, args.allow_licences)
    items = _unsolved(_clean(items, args, said), args, said)
    if not items:
        raise InvalidInput(f"rows: none left to train on: {json.dumps(said)}")
    return items


def _clean(items: list[Preference], args: DataArguments, said: dict[str, Any]) -> list[Preference]:
    if not args.benchmarks:
        return items
    benchmarks = Benchmarks(args.ngram)
    for name in args.benchmarks:
        benchmarks.add(name, _prompts(name))
    items, removed = decontaminate(items, benchmarks)
    said["decontamination"] = report_of(benchmarks, removed)
    return items


def _prompts(named: str) -> Iterator[str]:
    name, _, folder = named.partition("=")
    return benchmark_prompts(name, Path(folder) if folder else None) if name in BENCHMARKS else prompts_of(named)


def _unsolved(items: list[Preference], args: DataArguments, said: dict[str, Any]) -> list[Preference]:
    if not args.reference_store:
        return items
    names = solved(args.reference_store, items, args.reference_samples)
    said["solved_by_the_reference"] = len(names)
    return without(items, names)
