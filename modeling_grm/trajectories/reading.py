"""A store read as Arrow batches, each sample once, without holding its texts.

Reads beside a writer: what is recorded at the start is what comes. Knows nothing about votes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..types_grm import InvalidInput
from .arrow import pa, pc, pq
from .journal import journals, replay
from .schema import META_SCHEMA, SCHEMA
from .shards import load_about, number_of, open_shard, reading, shards

BATCH_ROWS = 65_536
_META = ("meta_model", "meta_score")


def settings_in(folder: str | Path) -> dict[str, dict[str, Any]]:
    """The settings of a store's samples, by their digest (the column `settings`); several where they were mixed."""
    return dict(load_about(Path(folder))["settings"])


def read(
    folder: str | Path,
    columns: Sequence[str] | None = None,
    *,
    batch_rows: int = BATCH_ROWS,
    meta_model: str | None = None,
    skip_damaged: bool = False,
) -> Iterator[Any]:
    """A store's samples as `pyarrow.RecordBatch`es, in the order of the shards.

    Args:
        folder: the store; samples that a killed run left in its journal are read too.
        columns: names of `COLUMNS`; only these are read from the disk. All if None.
        batch_rows: rows a batch, at most.
        meta_model: whose ratings to give; needed only where several meta RMs rated.
        skip_damaged: read around a shard that cannot be read, with a warning that names it.

    Returns:
        Batches with the columns in the order asked for. A sample that was made again after an engine's failure comes
        once, as it was made last. Memory: the keys, and one batch.

    Raises:
        InvalidInput: no store, an unknown column, a damaged shard (by name), or several meta RMs and none chosen.
    """
    folder, wanted = Path(folder), list(SCHEMA.names if columns is None else columns)
    load_about(folder)
    unknown = sorted(set(wanted) - set(SCHEMA.names))
    if unknown:
        raise InvalidInput(f"columns: {unknown} are not in a store; known are {SCHEMA.names}")
    ratings = _ratings(folder, meta_model) if set(wanted) & set(_META) else None
    read_ = wanted + ["key"] * (ratings is not None and "key" not in wanted)
    return _batches(_sources(folder, skip_damaged), wanted, read_, batch_rows, ratings, skip_damaged)


class _Source:
    """One shard, or the rows that are still in a journal."""

    def __init__(self, path: Path, rows: Any = None) -> None:
        self.path = path
        self._rows = rows

    def batches(self, columns: list[str], batch_rows: int) -> Iterator[Any]:
        if self._rows is not None:
            yield from self._rows.select(columns).to_batches(batch_rows)
            return
        with open_shard(self.path) as shard:
            found = shard.iter_batches(batch_rows, columns=columns)
            while (batch := _next(found, self.path)) is not None:
                yield batch.select(columns)

    def keys(self) -> Any:
        return pa.chunked_array([batch["key"] for batch in self.batches(["key"], BATCH_ROWS)], pa.string())


def _next(batches: Iterator[Any], path: Path) -> Any:
    with reading(path):
        return next(batches, None)


def _sources(folder: Path, skip_damaged: bool) -> list[tuple[_Source, Any]]:
    """(source, keys) of each, the journal read before the shards are listed, so that no row slips between."""
    left = [(path, replay(path)) for path in journals(folder)]
    paths = shards(folder, "data")
    done = set(map(number_of, paths))
    sources = [_Source(path) for path in paths]
    sources += [
        _Source(path, pa.Table.from_pylist(rows, SCHEMA)) for path, rows in left if rows and number_of(path) not in done
    ]
    found = [(source, _unless_damaged(source, skip_damaged)) for source in sources]
    return [(source, keys) for source, keys in found if keys is not None]


def _unless_damaged(source: _Source, skip_damaged: bool) -> Any:
    try:
        return source.keys()
    except InvalidInput as error:
        if not skip_damaged:
            raise
        _warn(error)
        return None


def _warn(error: InvalidInput) -> None:
    warnings.warn(f"passed over: {error}", UserWarning, stacklevel=4)


def _last_of_each(keys: list[Any]) -> Any:
    """Which rows of all sources count: the last of those with one key."""
    every = pa.chunked_array([chunk for chunked in keys for chunk in chunked.chunks], pa.string())
    table = pa.table({"key": every, "at": np.arange(len(every))})
    last = table.group_by("key").aggregate([("at", "max")])["at_max"].to_numpy()
    kept = np.zeros(len(every), dtype=bool)
    kept[last] = True
    return kept


def _batches(
    sources: list[tuple[_Source, Any]],
    wanted: list[str],
    columns: list[str],
    batch_rows: int,
    ratings: Any,
    skip_damaged: bool,
) -> Iterator[Any]:
    kept, start = _last_of_each([keys for _, keys in sources]), 0
    lengths = [len(keys) for _, keys in sources]
    sources = [(source, None) for source, _ in sources]  # lets the keys go
    for (source, _), length in zip(sources, lengths, strict=True):
        at, start = start, start + length
        try:
            for batch in source.batches(columns, batch_rows):
                whole = kept[at : at + len(batch)]
                at += len(batch)
                batch = batch if whole.all() else batch.filter(pa.array(whole))
                if len(batch):
                    yield batch if ratings is None else _rated(batch, ratings).select(wanted)
        except InvalidInput as error:
            if not skip_damaged:
                raise
            _warn(error)


def _ratings(folder: Path, meta_model: str | None) -> Any:
    """The ratings of the chosen meta RM; None where nobody rated."""
    tables = [_meta_shard(path) for path in shards(folder, "meta")]
    if not tables:
        return None
    table = pa.concat_tables(tables)
    raters = sorted(set(table["meta_model"].unique().to_pylist()))
    chosen = meta_model or (raters[0] if len(raters) == 1 else None)
    if chosen not in raters:
        raise InvalidInput(f"meta_model: {meta_model!r}; the store has ratings by {raters}, choose one of them")
    table = table.filter(pc.equal(table["meta_model"], chosen)).combine_chunks()
    return table.filter(pa.array(_last_of_each([table["key"]])))


def _meta_shard(path: Path) -> Any:
    with reading(path):
        return pq.read_table(path, schema=META_SCHEMA, page_checksum_verification=True)


def _rated(batch: Any, ratings: Any) -> Any:
    at = pc.index_in(batch["key"], value_set=ratings["key"])
    for name in set(_META) & set(batch.schema.names):
        column = ratings[name].take(at).combine_chunks()
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch


def canonical(folder: str | Path) -> Iterator[dict[str, Any]]:
    """A store's content without its history: each sample once, by key, without the time it was recorded.

    Two runs that made the same samples give the same rows, however often either was stopped. Holds the whole store.
    """
    table = pa.Table.from_batches(read(folder), SCHEMA).drop_columns("created")
    for batch in table.sort_by("key").to_batches(1024):
        yield from batch.to_pylist()
