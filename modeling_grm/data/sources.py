"""The paper's public preference data by Hub id (arXiv 2504.02495, section 4 and appendix C), as items of one schema.

    report = Report()
    items = list(build("helpsteer2", report))                        from the Hub
    items = list(build("helpsteer2", report, path="a/local/copy"))   from a folder with the same files

Licences are those of the datasets' cards. MATH is problems only: answers to them are joined first (`with_answers`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..types_grm import InvalidInput
from .converters import check_columns, convert
from .preference import UNSTATED, Preference, Report


class Source(NamedTuple):
    """One dataset.

    Attributes:
        hub_id: on the Hub.
        format: a name of `converters.FORMATS`.
        licence: the card's.
        split: which split to read.
        data_dir: the folder inside the repository, where there are several.
        where: (column, value) that a row must have.
        note: what a reader should know.
    """

    hub_id: str
    format: str
    licence: str
    split: str = "train"
    data_dir: str | None = None
    where: tuple[str, Any] | None = None
    note: str = ""


SOURCES: dict[str, Source] = {
    "ultrafeedback": Source(
        "openbmb/UltraFeedback", "ultrafeedback", "mit", note="labels are the mean of GPT-4's four aspect ratings"
    ),
    "offsetbias": Source("NCSOFT/offsetbias", "numbered", "bsd-3-clause"),
    "skywork": Source(
        "Skywork/Skywork-Reward-Preference-80K-v0.2",
        "messages-pair",
        UNSTATED,
        note="the card states no licence; a mixture of datasets that have their own",
    ),
    "helpsteer2": Source(
        "nvidia/HelpSteer2",
        "strength",
        "cc-by-4.0",
        data_dir="preference",
        where=("split", "train"),
        note="rows of equal preference (0) are dropped; the strength is the better response's label",
    ),
    "math": Source(
        "DigitalLearningGmbH/MATH-lighteval",
        "verifiable",
        "mit",
        note="problems and solutions; the answers to judge are the caller's (`with_answers`)",
    ),
}


def find_source(name: str) -> Source:
    """The source of that name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in SOURCES:
        raise InvalidInput(f"source: {name!r} is unknown; known are {', '.join(SOURCES)}")
    return SOURCES[name]


def load_rows(
    where: str | Path, split: str = "train", data_dir: str | None = None, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """The raw rows of a dataset of the Hub, or of a local folder of its files, one at a time as they are fetched.

    Raises:
        ImportError: without datasets.
        InvalidInput: it cannot be reached or read, or has no such split.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError("datasets are read by datasets: pip install 'modeling-grm[train]'") from error
    try:
        rows = load_dataset(str(where), data_dir=data_dir, split=split, streaming=True)
    except Exception as error:  # the Hub client and the readers each have their own kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"dataset: {str(where)!r} cannot be read ({reason}); give a Hub id, or a folder with its files"
        ) from error
    yield from islice(rows, limit)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The raw rows of a `.jsonl`, `.jsonl.gz` or `.parquet` file, whatever their columns.

    Raises:
        InvalidInput: there is no such file, it is of another kind, or a line is no JSON object (by number).
        ImportError: a parquet file without pyarrow.
    """
    if not path.is_file():
        raise InvalidInput(
            f"{path}: there is no such file; give a file, a folder, a Hub id or one of {sorted(SOURCES)}"
        )
    if path.suffix == ".parquet":
        yield from _parquet_records(path)
        return
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _record(line, f"{path}:{number}")


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{place}: no JSON ({error}); mend the line or take it out") from error
    if not isinstance(record, dict):
        raise InvalidInput(f"{place}: expected a JSON object, got {type(record).__name__}")
    return record


def _parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("reading .parquet files needs pyarrow: pip install 'modeling-grm[data]'") from error
    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=256):
            yield from batch.to_pylist()


FILES = (".jsonl", ".jsonl.gz", ".parquet")


def items_of(
    where: str, report: Report, *, split: str = "train", format: str | None = None, limit: int | None = None
) -> Iterator[Preference]:
    """Items of whatever is named: one of `SOURCES`, a file (`FILES`), a folder of dataset files, or a Hub id.

    Raises:
        InvalidInput, ImportError: see `build`, `read_records`, `load_rows` and `convert`.
    """
    if where in SOURCES:
        return build(where, report, limit=limit)
    if where.endswith(FILES):
        name = Path(where).name.split(".")[0]
        rows: Iterator[dict[str, Any]] = ({"source": name, **row} for row in read_records(Path(where)))
        return convert(islice(rows, limit), report, format=format)
    return convert(load_rows(where, split, None, limit), report, source=where, format=format)


def build(
    name: str, report: Report, *, path: str | Path | None = None, limit: int | None = None
) -> Iterator[Preference]:
    """One of `SOURCES` as items; rows without a single best response are dropped and counted.

    Args:
        name: key of `SOURCES`.
        report: counts what was kept and dropped.
        path: a folder with the dataset's files, in place of the Hub.
        limit: read that many rows at most.

    Raises:
        ImportError: without datasets.
        InvalidInput: an unknown name, a dataset that cannot be read, or columns that are not the format's (by name).
    """
    source = find_source(name)
    rows = load_rows(path or source.hub_id, source.split, source.data_dir, limit)
    if source.where:
        column, wanted = source.where
        rows = (row for row in rows if row.get(column, wanted) == wanted)
    return convert(rows, report, source=source.hub_id, licence=source.licence, format=source.format)


def with_answers(
    problems: Iterable[Mapping[str, Any]], answers: Mapping[str, Sequence[str]], *, single: bool = False
) -> Iterator[dict[str, Any]]:
    """MATH's problems with the caller's answers to them, as rows of the format `verifiable`.

    Args:
        problems: rows with `problem` and `solution`.
        answers: the problem's text -> answers to it; a problem without any is passed over.
        single: one row an answer (right or wrong, label 1 or 0) in place of one row with all of them.
    """
    for at, row in enumerate(problems):
        check_columns({**row, "responses": ()}, "verifiable")
        given = answers.get(row["problem"], ())
        groups = [[answer] for answer in given] if single else [list(given)] * bool(given)
        for number, responses in enumerate(groups):
            said = {name: row[name] for name in ("problem", "solution")}
            yield said | {"responses": responses, "id": f"{row.get('id', at)}-{number}"}
