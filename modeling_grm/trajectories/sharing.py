"""A store's copy without texts: what may be shared where the rows may not.

    without_texts("runs/bench/store", "recipes/eval/bench/store")

Hashes, scores, labels, outcomes and ratings stay, so that every vote and figure comes out of the copy as out of the
store.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .arrow import pa
from .card import write_card
from .reading import read
from .schema import META_SCHEMA, SCHEMA, TEXT_COLUMNS
from .shards import STORE_FILE, load_about, open_shard, put_shard, put_text, shards, sole_writer, writing


def without_texts(folder: str | Path, out: str | Path) -> Path:
    """Copy a store and leave its texts behind.

    Args:
        folder: the store; it stays as it is.
        out: a new or empty folder.

    Returns:
        `out`, a store begun without texts.

    Raises:
        InvalidInput: no store, or `out` is not empty.
        UnwritableStore: the disk is full.
    """
    folder, out = Path(folder), Path(out)
    about = load_about(folder)
    if out.exists() and any(out.iterdir()):
        raise InvalidInput(f"out: {out} is not empty; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    with sole_writer(out), writing(out):
        put_text(out / STORE_FILE, json.dumps(about | {"text": False}, indent=2, ensure_ascii=False) + "\n")
        for number, batch in enumerate(read(folder)):
            put_shard(out, "data", number, _stripped(batch))
        for number, shard in enumerate(shards(folder, "meta")):
            with open_shard(shard) as ratings:
                put_shard(out, "meta", number, ratings.read().cast(META_SCHEMA))
        write_card(out)
    return out


def _stripped(batch: Any) -> Any:
    rated = {"meta_model", "meta_score"}  # they stand in shards of their own
    empty = {*TEXT_COLUMNS, *rated}
    columns = [pa.nulls(len(batch), f.type) if f.name in empty else batch[f.name] for f in SCHEMA]
    return pa.table(columns, schema=SCHEMA)
