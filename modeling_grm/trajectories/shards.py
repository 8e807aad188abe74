"""The files of a store: whole shards, one writer, and an error that names the way out.

    store.json              format, settings by digest, whether texts are kept
    data/000007-<hash>.parquet      samples; the number says which is later, the hash which content
    meta/000002-<hash>.parquet      ratings of samples: key, meta_model, meta_score
    journal-000008.jsonl    samples on their way into data/000008-...
    .lock                   held by the one writer

A file appears under its own name only when all of it is on the disk. Knows nothing about prompts or engines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .arrow import pa, pq
from .schema import FORMAT, file_hash

STORE_FILE = "store.json"
LOCK_FILE = ".lock"
UNFINISHED = ".tmp"
HASH_DIGITS = 12  # of its content, in a shard's name


class UnwritableStore(InvalidInput):
    """The disk takes no more (or the folder no writing); all that was recorded before is kept and readable."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Names the store and the way out where the disk refuses.

    Raises:
        UnwritableStore: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableStore(
            f"{folder}: cannot be written: {error.strerror or error}; the samples recorded so far are kept and "
            "readable; make room and run the same command again"
        ) from error


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the store's lock; the system lets it go however the process ends.

    Raises:
        InvalidInput: another process writes, or this system has no `flock`.
    """
    try:
        import fcntl
    except ImportError:
        raise InvalidInput(f"{folder}: a store is written on POSIX systems only; here it can be read") from None
    with (folder / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise InvalidInput(
                f"{folder}: process {lock.read().strip() or '?'} writes into it; wait for it, or give another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(unfinished: Path, path: Path) -> None:
    """Give a finished file its name, so that it is there whole or not at all, a power cut included."""
    _sync(unfinished)
    os.replace(unfinished, path)
    _sync(path.parent)


def put_text(path: Path, text: str) -> None:
    """Write a text file at once."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        unfinished.write_text(text, encoding="utf-8")
        put(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def put_shard(folder: Path, kind: str, number: int, table: Any) -> Path:
    """Write a table as `kind/number-hash.parquet`."""
    (folder / kind).mkdir(exist_ok=True)
    unfinished = folder / f"{kind}-{number:06d}{UNFINISHED}"
    try:
        pq.write_table(table, unfinished, compression="zstd", write_page_checksum=True)
        path = folder / kind / f"{number:06d}-{file_hash(unfinished)[:HASH_DIGITS]}.parquet"
        put(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    return path


def is_whole(path: Path) -> bool:
    """Whether a shard's content is the one that its name says; reads every byte (about a second a gigabyte)."""
    return file_hash(path)[:HASH_DIGITS] == path.stem.rpartition("-")[2]


def shards(folder: Path, kind: str) -> list[Path]:
    """A store's shards, earlier ones first."""
    return sorted((folder / kind).glob("*.parquet"), key=number_of)


def number_of(path: Path) -> int:
    """Which shard or journal a file is.

    Raises:
        InvalidInput: its name is none that a store gives.
    """
    digits = path.name.removeprefix("journal-")[:6]
    if not digits.isdigit():
        raise InvalidInput(f"{path}: no file of a store has such a name; move it out of the folder")
    return int(digits)


def next_number(paths: list[Path]) -> int:
    """The number of the file that comes behind them."""
    return max(map(number_of, paths), default=-1) + 1


def open_shard(path: Path) -> Any:
    """A shard, to be read.

    Raises:
        InvalidInput: it is truncated or no Parquet.
    """
    with reading(path):
        return pq.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Names the file and the way out where a shard cannot be read."""
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:  # a column's name that is none
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"{path}: a damaged shard ({reason}); restore it, or move it out of the folder: the next run makes its "
            "samples again (to read around it: skip_damaged=True)"
        ) from error


def load_about(folder: Path) -> dict[str, Any]:
    """What `store.json` says.

    Raises:
        InvalidInput: the folder is no store, or one of another format.
    """
    path = folder / STORE_FILE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        found = about["format"]
    except FileNotFoundError:
        raise InvalidInput(f"{folder}: no trajectory store, it has no {STORE_FILE}; give the folder of one") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error}); restore it from a copy of the store") from error
    if found != FORMAT:
        raise InvalidInput(
            f"{path}: format {found!r}, this version reads {FORMAT}; use the version that made the store"
        )
    return dict(about)
