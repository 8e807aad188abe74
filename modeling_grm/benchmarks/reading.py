"""Rows as they lie: in a local file (`.jsonl`, `.jsonl.gz`, `.json`, `.parquet`), on the Hub, or at a URL.

    {"prompt": "...", "chosen": "...", ...}                                   one row a line
    [{"prompt": "..."}, ...]     or     {"length bias": [{...}], ...}         a JSON file

A benchmark is read whole or not at all: a damaged file, or a row without a column that the benchmark needs, is refused
with its place. Knows nothing about items or metrics.
"""

from __future__ import annotations

import gzip
import json
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .base import Benchmark, Record, Source

Placed = Iterator[tuple[str, Record]]
"""(where a row stands, the row)."""

SHARDS = "-?????-of-?????"
TIMEOUT = 60.0  # seconds to wait for an answer from a URL
LOCAL_COLUMNS = ("id", "subset", "responses", "labels")


def files_of(folder: Path, names: Iterable[str]) -> list[Path]:
    """The files of the first of these names that the folder holds, sharded or not, sorted."""
    for name in names:
        for ending in _READERS:
            found = sorted({*folder.glob(name + ending), *folder.glob(name + SHARDS + ending)})
            if found:
                return found
    return []


def local_rows(paths: Iterable[Path], columns: Sequence[str]) -> Placed:
    """The rows of some files.

    Raises:
        InvalidInput: a file that cannot be read whole, or a row without one of these columns.
        ImportError: a parquet file without pyarrow.
    """
    return chain.from_iterable(_checked(_file_rows(path), columns) for path in paths)


def hub_rows(benchmark: Benchmark, source: Source) -> Placed:
    """The rows of a source from the Hub, or from its URL.

    Raises:
        InvalidInput: it cannot be reached; the message says how to log in or how to name a folder.
        ImportError: without datasets.
    """
    rows = _url_rows(source.url) if source.url else _dataset_rows(source)
    try:
        yield from _checked(rows, source.columns)
    except InvalidInput:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # what the Hub's and the network's errors derive from
        said = f"{benchmark.name}: {source.label} cannot be read: {_short(error)}"
        raise InvalidInput(f"{said}. {_way_out(benchmark)}") from error


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


def _way_out(benchmark: Benchmark) -> str:
    """What to do about rows that cannot be reached."""
    pages = ", ".join(f"https://huggingface.co/datasets/{hub}" for hub in benchmark.hub_id)
    login = f"The dataset is gated: accept its terms on {pages} and log in with `hf auth login`. "
    folder = (
        f"the files of {', '.join(benchmark.hub_id)} (`hf download ID --repo-type dataset --local-dir FOLDER/NAME`)"
    )
    return f"{login if benchmark.gated else ''}Or give the rows with --data FOLDER: {benchmark.where or folder}"


def unreachable(benchmark: Benchmark) -> InvalidInput:
    """For a benchmark that no Hub id and no URL gives."""
    return InvalidInput(f"{benchmark.name}: its rows are not on the Hub. {_way_out(benchmark)}")


def _dataset_rows(source: Source) -> Placed:
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise ImportError("benchmarks from the Hub need datasets: pip install 'modeling-grm[train]'") from error
    try:
        rows = load_dataset(source.hub, source.config, split=source.split)
    except DatasetsError as error:  # not all of them are an OSError
        raise OSError(str(error)) from error
    yield from _numbered(source.label, rows)


def _url_rows(url: str) -> Placed:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        rows = _listed(json.loads(answer.read()))
    yield from _numbered(url, rows)


def _checked(rows: Placed, columns: Sequence[str]) -> Placed:
    for place, row in rows:
        missing = [name for name in columns if not isinstance(row, dict) or name not in row]
        if missing:
            there = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
            raise InvalidInput(f"{place}: the columns {', '.join(missing)} are missing; this row has {there[:200]}")
        yield place, row


def _file_rows(path: Path) -> Placed:
    ending = next(ending for ending in _READERS if path.name.endswith(ending))
    try:
        yield from _READERS[ending](path)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}; get the file anew") from error


def _json_lines(path: Path, opened: Callable[..., Any] = open) -> Placed:
    with opened(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{path}:{number}", json.loads(line)


def _json_lines_gz(path: Path) -> Placed:
    return _json_lines(path, gzip.open)


def _json(path: Path) -> Placed:
    return _numbered(str(path), _listed(json.loads(path.read_bytes())))


def _listed(content: Any) -> list[Any]:
    """The rows of a JSON file: a list, or lists by name."""
    lists = list(content.values()) if isinstance(content, dict) else [content]
    if not all(isinstance(rows, list) for rows in lists):
        raise ValueError("neither a list of rows nor lists by name")
    return [row for rows in lists for row in rows]


def _numbered(place: str, rows: Iterable[Any]) -> Placed:
    return ((f"{place}:{number}", row) for number, row in enumerate(rows, 1))


def _parquet(path: Path) -> Placed:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("reading .parquet files needs pyarrow: pip install 'modeling-grm[data]'") from error
    with parquet.ParquetFile(path) as table:
        rows = (row for batch in table.iter_batches(batch_size=256) for row in batch.to_pylist())
        yield from _numbered(str(path), rows)


_READERS: dict[str, Callable[[Path], Placed]] = {
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines_gz,
    ".json": _json,
    ".parquet": _parquet,
}
