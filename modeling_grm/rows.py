"""Rows for scoring, read from a file one at a time: `.jsonl`, `.jsonl.gz` or `.parquet`.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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


def read_rows(path: str | Path, limit: int | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file in their order, without ever holding the whole file.

    A damaged file (a gzip stream that ends early) gives the rows before the damage, then one `BadRow` that names the
    place, and ends there; parquet is decoded in steps of 256 rows, so there the step with the damage is lost whole.
    Blank lines are passed over, but counted.

    Args:
        path: a `.jsonl`, `.jsonl.gz` or `.parquet` file; UTF-8.
        limit: stop after that many rows, bad ones included.

    Raises:
        InvalidInput: at once, before the first row: no such file, a kind of file that is not read here, a parquet
            file that does not open, or a limit below 1.
        ImportError: at once: a parquet file without pyarrow.
    """
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit: {limit!r} is not usable; give a whole number of rows, at least 1")
    path = Path(path)
    suffix = next((suffix for suffix in _OPENERS if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InvalidInput(f"{path}: unknown kind of file; rows are read from {', '.join(_OPENERS)}")
    if not path.is_file():
        raise InvalidInput(f"{path}: there is no such file; give the path of a {suffix} file")
    return islice(_OPENERS[suffix](path), limit)


def count_rows(path: Path, limit: int | None = None) -> int | None:
    """How many rows `read_rows` will hand out, for a progress bar; None where only reading them all would tell."""
    if path.suffix == ".parquet":
        return limit
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".jsonl": open}
    try:
        with openers[path.suffix](path, "rb") as lines:
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


def _json_lines(path: Path, open_binary: Callable[..., Any]) -> Iterator[Row | BadRow]:
    number = 0
    try:
        with open_binary(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed_line(line, f"{path}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        yield BadRow(f"{path}:{number + 1}", None, f"the file cannot be read from here on: {error}")


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


def _jsonl(path: Path) -> Iterator[Row | BadRow]:
    return _json_lines(path, open)


def _jsonl_gz(path: Path) -> Iterator[Row | BadRow]:
    return _json_lines(path, gzip.open)


def _parquet(path: Path) -> Iterator[Row | BadRow]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError("reading .parquet files needs pyarrow: pip install 'modeling-grm[data]'") from error
    try:
        table = parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise InvalidInput(f"{path}: not a readable parquet file: {error}") from error
    return _parquet_rows(path, table)


def _parquet_rows(path: Path, table: Any) -> Iterator[Row | BadRow]:
    number = 0
    try:
        with table:
            for batch in table.iter_batches(batch_size=_PARQUET_STEP):
                for record in batch.to_pylist():
                    number += 1
                    yield row_from(record, f"{path}:{number}")
    except (OSError, ValueError, RuntimeError) as error:  # what pyarrow's own errors derive from
        yield BadRow(f"{path}:{number + 1}", None, f"the file cannot be read from here on: {error}")


_PARQUET_STEP = 256
_OPENERS: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl_gz,
    ".parquet": _parquet,
}
