# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,hub,train]"]
# ///
"""The preference dataset: four pools of items in three parts, decontaminated and balanced, as a folder for the Hub.

    python recipes/data/build.py --config recipes/data/smoke.yaml
    python recipes/data/build.py --config recipes/data/preferences.yaml --benchmarks ../shared/data/eval

Every key of the YAML can be overridden on the command line. In `out`: `dataset/` has the rows with their card, and
`report.json` what was kept and why the rest was not. The same files and seed give the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

from modeling_grm import __version__
from modeling_grm.console import progress
from modeling_grm.data.contrast import sources as contrast_sources
from modeling_grm.data.contrast.grown import PARTS, grow
from modeling_grm.data.contrast.strengths import STRENGTHS
from modeling_grm.data.decontamination import Benchmarks, decontaminate, prompts_of, report_of
from modeling_grm.data.filters import check_licences
from modeling_grm.data.pools import card
from modeling_grm.data.pools.balance import balanced, baselines
from modeling_grm.data.pools.entries import POOLS, Entry, apart, columns, of_contrast
from modeling_grm.data.pools.sources import MOST_WORDS, SOURCES, check_files, read_source
from modeling_grm.data.pools.whole import read_whole
from modeling_grm.data.preference import Report, to_dataset
from modeling_grm.data.sources import FILES
from modeling_grm.recipes import script
from modeling_grm.types_grm import InvalidInput

READS_AS_RIGHT = "a single response whose score is 1, which means right where 0 or 1 is asked for"


@dataclass
class BuildArguments:
    """What the dataset is built from.

    Args:
        data: folder with the source files.
        out: folder of the results.
        benchmarks: files of rows, or folders of such files, whose prompts must not be trained on.
        ngram: so many words in a row, shared with a benchmark's prompt, are too many.
        contrast_train: items of the contrast pool in the part `train`.
        contrast_meta: the same for `meta`.
        contrast_test: the same for `test`.
        strengths: of the contrast pool's defects.
        most_words: a row of the other pools with more words is left out.
        repo: Hub id that the card's quick start names.
        seed: of the contrast pool and of the rows' order.
    """

    data: str = ""
    out: str = "runs/preferences"
    benchmarks: list[str] = field(default_factory=list)
    ngram: int = 13
    contrast_train: int = 18000
    contrast_meta: int = 2000
    contrast_test: int = 1200
    strengths: list[str] = field(default_factory=lambda: list(STRENGTHS))
    most_words: int = MOST_WORDS
    repo: str = "your-name/grm-preferences"
    seed: int = 0

    def contrast_items(self, part: str) -> int:
        """How many items the contrast pool has in a part."""
        return int(getattr(self, f"contrast_{part}"))


def shown(entries: Iterable[Entry], total: int | None, name: str) -> Iterator[Entry]:
    """A bar on stderr."""
    with progress(total, name) as bar:
        for entry in entries:
            bar.advance(bar.task_ids[0])
            yield entry


def benchmark_files(named: Iterable[str]) -> list[Path]:
    """The files themselves.

    Raises:
        InvalidInput: a folder without files of rows.
    """
    found: list[Path] = []
    for path in map(Path, named):
        inside = sorted(one for one in path.glob("*") if one.name.endswith(FILES)) if path.is_dir() else [path]
        if not inside:
            raise InvalidInput(f"benchmarks: {path} has no file of rows ({', '.join(FILES)})")
        found += inside
    return found


def benchmarks_of(args: BuildArguments) -> Benchmarks:
    """The prompts to keep out."""
    benchmarks = Benchmarks(args.ngram)
    for path in benchmark_files(args.benchmarks):
        benchmarks.add(path.name.split(".")[0], prompts_of(path))
    return benchmarks


def contrast(args: BuildArguments, fits: Callable[[str], bool], report: Report) -> Iterator[Entry]:
    """The contrast pool of all parts, from the prompts that fit."""
    for part in PARTS:
        rows = grow(Path(args.data), part, args.contrast_items(part), args.seed, strengths=args.strengths, fits=fits)
        for entry in map(of_contrast, rows):
            if entry.item.label == 1:
                report.drop(entry.label, READS_AS_RIGHT, entry.item.id)
                continue
            report.keep(entry.label)
            yield entry


def others(args: BuildArguments, fits: Callable[[str], bool], report: Report) -> Iterator[Entry]:
    """The verifiable and the human pool, and whole responses to the prompts that fit."""
    for source in SOURCES.values():
        yield from read_source(Path(args.data), source, report, args.most_words)
    yield from read_whole(Path(args.data), report, args.most_words, fits=fits)


def cleaned(entries: list[Entry], benchmarks: Benchmarks, report: Report, said: dict[str, Any]) -> list[Entry]:
    """Each item once, licensed, in no benchmark, and without a turn that another part has.

    Raises:
        InvalidInput: a licence that is neither MIT nor Apache-2.0.
    """
    named: dict[str, Entry] = {}
    for entry in entries:
        if named.setdefault(entry.item.item, entry) is not entry:
            report.lose(entry.label, "the same item again", entry.item.id)
    items = [entry.item for entry in named.values()]
    check_licences(items)
    items, removed = decontaminate(items, benchmarks)
    for item, hit in removed:
        report.lose(named[item.item].label, f"in a benchmark: {hit.benchmark}", item.id)
    said["decontamination"] = report_of(benchmarks, removed) if benchmarks.names else None
    return apart((named[item.item] for item in items), report)


def parts_of(entries: Iterable[Entry], seed: int) -> dict[str, list[Entry]]:
    """The entries of each part, in an order of the seed's.

    Raises:
        InvalidInput: a part has none.
    """
    parts: dict[str, list[Entry]] = {part: [] for part in PARTS}
    for entry in sorted(entries, key=lambda one: one.item.id):
        parts[entry.part].append(entry)
    for part, rows in parts.items():
        if not rows:
            raise InvalidInput(f"rows: none is left for the part {part!r}; give more")
        Random(f"order {part} {seed}").shuffle(rows)
    return parts


def measured(rows: list[Entry]) -> dict[str, Any]:
    """The baselines of each pool."""
    return {pool: baselines(entry for entry in rows if entry.pool == pool) for pool in POOLS}


def counted(parts: dict[str, list[Entry]]) -> list[dict[str, Any]]:
    """How many rows there are of each part, pool, source, subset, strength and n."""
    names = ("part", "pool", "source", "subset", "strength", "n")
    counts: dict[tuple[Any, ...], int] = {}
    for part, rows in parts.items():
        for one in rows:
            key = (part, one.pool, one.item.source, one.subset, one.strength, one.n)
            counts[key] = counts.get(key, 0) + 1
    return [dict(zip(names, key, strict=True)) | {"rows": rows} for key, rows in sorted(counts.items(), key=str)]


def write(parts: dict[str, list[Entry]], args: BuildArguments, said: dict[str, Any]) -> None:
    """The dataset folder with its card, and the report."""
    folder = Path(args.out) / "dataset"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        to_dataset(rows, columns()).to_parquet(folder / "data" / f"{part}-00000-of-00001.parquet")
    (folder / "README.md").write_text(card.write(parts, said, args.repo, __version__), encoding="utf-8")
    report = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
    (Path(args.out) / "report.json").write_text(report, encoding="utf-8")


def run(args: BuildArguments) -> dict[str, Any]:
    """Everything; returns the report.

    Raises:
        InvalidInput: bad arguments, a source file that is missing, or a licence that is not on the list.
    """
    check_files(Path(args.data), chain(contrast_sources.SOURCES, (one.file for one in SOURCES.values())))
    report, said, refused = Report(), dict[str, Any](), set[str]()
    benchmarks = benchmarks_of(args)

    def fits(prompt: str) -> bool:
        if benchmarks.find([prompt]) is None:
            return True
        refused.add(prompt)
        return False

    total = sum(map(args.contrast_items, PARTS))
    made = list(shown(contrast(args, fits, report), total, "contrast"))
    read = list(shown(others(args, fits, report), None, "other pools"))
    kept = cleaned([*made, *read], benchmarks, report, said)
    still = [entry for entry in kept if entry.pool == "contrast"]
    parts = parts_of([*still, *balanced((one for one in kept if one.pool != "contrast"), report)], args.seed)
    if said["decontamination"] is not None:
        said["decontamination"]["prompts_refused"] = len(refused)
    said |= {
        "rows": report.to_dict(),
        "parts": {part: len(rows) for part, rows in parts.items()},
        "baselines": {part: measured(rows) for part, rows in parts.items()},
        "counts": counted(parts),
        "seed": args.seed,
    }
    write(parts, args, said)
    return said


def main(args: BuildArguments) -> None:
    """Build, and say what there is."""
    said = run(args)
    print(json.dumps({"parts": said["parts"], "kept": said["rows"]["kept"], "out": args.out}, indent=2))


if __name__ == "__main__":
    script(main, BuildArguments)
