"""Ratings beside the samples: a meta RM's word on each, in small shards of their own; samples stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .arrow import pa
from .card import write_card
from .schema import META_SCHEMA
from .shards import load_about, next_number, put_shard, shards, sole_writer, writing


def write_meta(folder: str | Path, meta_model: str, ratings: Mapping[str, float | None]) -> None:
    """Record a meta RM's rating of samples, by key; `read` then gives them beside the samples.

    Args:
        folder: the store; the samples themselves are not touched.
        meta_model: who rated.
        ratings: key of a sample -> rating (higher is more trustworthy), None where it could not say. Rated again by
            the same meta RM, the later rating counts.

    Raises:
        InvalidInput: no store, or another process writes into it.
        UnwritableStore: the disk is full.
    """
    folder = Path(folder)
    load_about(folder)
    rows = [{"key": key, "meta_model": meta_model, "meta_score": rating} for key, rating in ratings.items()]
    with sole_writer(folder), writing(folder):
        number = next_number(shards(folder, "meta"))
        put_shard(folder, "meta", number, pa.Table.from_pylist(rows, META_SCHEMA))
        write_card(folder)
