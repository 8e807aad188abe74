"""Rows for scoring, one at a time: from a `.jsonl`, `.jsonl.gz` or `.parquet` file, here or on the Hub, or a dataset.

    {"id": "tea-1", "query": "How long does green tea steep?", "responses": ["Two to three minutes.", "I like trains."]}

A row has `query` (the user's text) or `conversation` (chat messages), and `responses`; `id`, `reference` and
`principles` if it likes, `best` and `labels` where someone already judged it, `source` and `licence` (or `license`)
where it comes from somewhere. Other columns are passed over. A row that cannot be judged is handed out as a `BadRow`
with its place and the reason, so that the rows around it still count. Knows nothing about models or scores.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from . import hub_paths
from .types_grm import InvalidInput, Request


@dataclass(frozen=True)
class Row:
    """One row that can be judged.

    Attributes:
        place: `file:line`, the line counted from 1 (the row's number in a parquet file).
        id: the row's own id as text, or its place where it has none.
        request: what to judge.
        best: the row's `best` as it stands there, unchecked: the index of the preferred response.
        labels: the row's `labels` as they stand there, unchecked: one number a response.
        source: where the row comes from, if it says so.
        licence: under which terms, in the row's own words (`licence` or `license`).
    """

    place: str
    id: str
    request: Request
    best: Any = None
    labels: Any = None
    source: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class BadRow:
    """One row that cannot be judged: its `place`, its `id` (None where it could not be read) and the reason."""

    place: str
    id: str | None
    error: str


def read_rows(path: str | Path, limit: int | None = None, split: str | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file or of a dataset in their order, without ever holding the whole of it.

    A damaged file (a gzip stream that ends early) gives the rows before the damage, then one `BadRow` that names the
    place, and ends there; parquet is decoded in steps of 256 rows, so there the step with the damage is lost whole.
    Blank lines are passed over, but counted.

    Args:
        path: a `.jsonl`, `.jsonl.gz` or `.parquet` file, UTF-8: a local one, or one on the Hub by its address
            (`hf://datasets/org/name/rows.jsonl`); or a dataset of the Hub, `hf://datasets/org/name`.
        limit: stop after that many rows, bad ones included.
        split: of a dataset of the Hub that has several.

    Raises:
        InvalidInput: at once, before the first row: no such file or repository, a kind of file that is not read here, a
            parquet file that does not open, a dataset without the columns of rows, or a limit below 1.
        ImportError: at once: a parquet file without pyarrow, a dataset without datasets.
    """
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit: {limit!r} is not usable; give a whole number of rows, at least 1")
    name = str(path)
    if hub_paths.is_hub(name):
        return islice(_on_the_hub(name, split), limit)
    if split is not None:
        raise InvalidInput(f"split: belongs to a dataset of the Hub (hf://datasets/org/name); {name} is a file")
    read = _reader(name)
    if not Path(path).is_file():
        raise InvalidInput(f"{path}: there is no such file; check its path")
    return islice(read(name, partial(open, name, "rb"), lambda: name), limit)


def _reader(name: str) -> Callable[..., Iterator[Row | BadRow]]:
    suffix = next((suffix for suffix in _READERS if name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InvalidInput(f"{name}: unknown kind of file; rows are read from {', '.join(_READERS)}")
    return _READERS[suffix]


def _on_the_hub(address: str, split: str | None) -> Iterator[Row | BadRow]:
    """A file's rows; or a dataset's, where the address ends with its name."""
    if not hub_paths.resolve(address).path_in_repo:
        return _dataset_rows(address, hub_paths.stream_rows(address, split))
    if split is not None:
        raise InvalidInput(f"split: belongs to a whole dataset; {address} is a file of one")
    read = _reader(address)
    hub_paths.check_file(address)
    return read(address, partial(hub_paths.stream, address), partial(hub_paths.random_access, address))


def count_rows(path: str | Path, limit: int | None = None) -> int | None:
    """How many rows `read_rows` will hand out, for a progress bar; None where only reading them all would tell."""
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".jsonl": open}
    if Path(path).suffix not in openers or hub_paths.is_hub(path):
        return limit
    try:
        with openers[Path(path).suffix](path, "rb") as lines:
            return sum(1 for _ in islice((line for line in lines if line.strip()), limit))
    except (OSError, EOFError, zlib.error):
        return limit


def row_from(record: object, place: str) -> Row | BadRow:
    """One decoded row (a JSON object) as a `Row`, or as a `BadRow` with the reason."""
    if not isinstance(record, dict):
        return BadRow(place, None, f"expected a JSON object with `query` and `responses`, got {type(record).__name__}")
    given = {name: value for name, value in record.items() if value is not None}
    own_id = given.get("id", place)
    if isinstance(own_id, bool) or not isinstance(own_id, (str, int)):
        return BadRow(place, None, f"id: expected text or a whole number, got {type(own_id).__name__}")
    try:
        request = _request(given)
    except InvalidInput as error:
        return BadRow(place, str(own_id), str(error))
    licence = _named(given, "licence", "license")
    return Row(place, str(own_id), request, given.get("best"), given.get("labels"), _named(given, "source"), licence)


def _named(given: dict[str, Any], *names: str) -> str | None:
    """The first of these that the row says in words."""
    return next((given[name] for name in names if isinstance(given.get(name), str)), None)


def _request(given: dict[str, Any]) -> Request:
    asked = [name for name in ("query", "conversation") if name in given]
    if len(asked) != 1 or "responses" not in given:
        raise InvalidInput(
            "a row has either `query` or `conversation`, and `responses`; "
            f"this one has {', '.join(f'`{name}`' for name in sorted(given)) or 'nothing'}"
        )
    return Request(given[asked[0]], given["responses"], given.get("reference"), given.get("principles"))


def _json_lines(name: str, opened: Open, unpack: Unpack) -> Iterator[Row | BadRow]:
    number = 0
    try:
        with opened() as packed, unpack(packed) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed_line(line, f"{name}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        yield BadRow(f"{name}:{number + 1}", None, f"the file cannot be read from here on: {error}")


def _parsed_line(line: bytes, place: str) -> Row | BadRow:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        return BadRow(place, None, f"invalid JSON at column {error.colno}: {error.msg}")
    except UnicodeDecodeError as error:
        return BadRow(place, None, f"not UTF-8 at byte {error.start} of the line")
    except RecursionError:
        return BadRow(place, None, "invalid JSON: nested too deeply")
    except ValueError as error:  # a whole number of thousands of digits
        return BadRow(place, None, f"invalid JSON: {error}")
    return row_from(record, place)


def _jsonl(name: str, opened: Open, _: Seekable) -> Iterator[Row | BadRow]:
    return _json_lines(name, opened, nullcontext)


def _jsonl_gz(name: str, opened: Open, _: Seekable) -> Iterator[Row | BadRow]:
    return _json_lines(name, opened, gzip.open)


def _parquet(name: str, _: Open, seekable: Seekable) -> Iterator[Row | BadRow]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError("reading .parquet files needs pyarrow: pip install 'modeling-grm[data]'") from error
    try:
        table = parquet.ParquetFile(seekable())
    except (OSError, ArrowException) as error:
        raise InvalidInput(f"{name}: not a readable parquet file: {error}") from error
    return _parquet_rows(name, table)


def _parquet_rows(name: str, table: Any) -> Iterator[Row | BadRow]:
    number = 0
    try:
        with table:
            for batch in table.iter_batches(batch_size=_PARQUET_STEP):
                for record in batch.to_pylist():
                    number += 1
                    yield row_from(record, f"{name}:{number}")
    except (OSError, ValueError, RuntimeError) as error:  # what pyarrow's own errors derive from
        yield BadRow(f"{name}:{number + 1}", None, f"the file cannot be read from here on: {error}")


def _dataset_rows(name: str, records: Iterable[dict[str, Any]]) -> Iterator[Row | BadRow]:
    """Rows of any source of records; refused at once where the first has not the columns of a row."""
    rest = iter(records)
    with hub_paths.asking(name):
        first = list(islice(rest, 1))
    columns = sorted(first[0]) if first else []
    if "responses" not in columns or not {"query", "conversation"} & set(columns):
        raise InvalidInput(
            f"{name}: needs rows with `query` or `conversation`, and `responses`; it has "
            f"{', '.join(f'`{column}`' for column in columns) or 'no rows'}"
        )
    return _numbered_rows(name, chain(first, rest))


def _numbered_rows(name: str, records: Iterable[dict[str, Any]]) -> Iterator[Row | BadRow]:
    number = 0
    try:
        for number, record in enumerate(records, 1):
            yield row_from(record, f"{name}:{number}")
    except Exception as error:  # the readers of datasets have kinds of their own
        yield BadRow(f"{name}:{number + 1}", None, f"the dataset cannot be read from here on: {error}")


Open = Callable[[], BinaryIO]
"""Opens the file to be read once, from start to end."""
Seekable = Callable[[], Any]
"""What pyarrow takes: a path, or a file to be read here and there."""
Unpack = Callable[[BinaryIO], AbstractContextManager[Any]]

_PARQUET_STEP = 256
_READERS: dict[str, Callable[[str, Open, Seekable], Iterator[Row | BadRow]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl_gz,
    ".parquet": _parquet,
}
