"""What happens before the first sample: a store is begun or gone on with, and what a kill has left is put in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .arrow import pa
from .journal import journals, replay
from .schema import FORMAT, SCHEMA, Settings, differences
from .shards import LOCK_FILE, STORE_FILE, UNFINISHED, load_about, number_of, put_shard, put_text, shards


def put_rows(folder: Path, number: int, rows: list[dict[str, Any]]) -> Path:
    """Rows as a shard, an item's samples side by side."""
    rows = sorted(rows, key=lambda row: (row["item"], row["sample"], row["key"]))
    return put_shard(folder, "data", number, pa.Table.from_pylist(rows, SCHEMA))


def recover(folder: Path) -> None:
    """Finish what a killed writer has left: a journal becomes its shard, unless that is already there."""
    for unfinished in folder.glob(f"*{UNFINISHED}"):
        unfinished.unlink()
    done = set(map(number_of, shards(folder, "data")))
    for path in journals(folder):
        rows = [] if number_of(path) in done else replay(path)
        if rows:
            put_rows(folder, number_of(path), rows)
        path.unlink()


def settle(folder: Path, settings: Settings, text: bool | None, mix: bool) -> bool:
    """Begin the store, or see that this run may go on with it; whether it keeps texts.

    Raises:
        InvalidInput: it was made otherwise, or the folder holds something else.
    """
    if not (folder / STORE_FILE).exists():
        _check_empty(folder)
        about: dict[str, Any] = {"format": FORMAT, "text": text is not False, "settings": {}}
    else:
        about = load_about(folder)
        _check_text(folder, about["text"], text)
        _check_settings(folder, about["settings"], settings, mix)
    if settings.digest not in about["settings"]:
        about["settings"][settings.digest] = settings.to_dict()
        put_text(folder / STORE_FILE, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return bool(about["text"])


def _check_empty(folder: Path) -> None:
    others = [path.name for path in folder.iterdir() if path.name != LOCK_FILE and path.suffix != UNFINISHED]
    if others:
        raise InvalidInput(f"{folder}: no store, and not empty ({sorted(others)[0]}); give a new or an empty folder")


def _check_text(folder: Path, kept: bool, text: bool | None) -> None:
    if text is not None and text != kept:
        ways = {True: "with texts", False: "without texts"}
        raise InvalidInput(f"text: {folder} was begun {ways[kept]}, not {ways[text]}; go on so, or give another folder")


def _check_settings(folder: Path, stored: dict[str, Any], settings: Settings, mix: bool) -> None:
    if settings.digest in stored or mix:
        return
    asked = settings.to_dict()
    nearest = min((differences(other, asked) for other in stored.values()), key=len)
    raise InvalidInput(
        f"{folder}: made with other settings: {'; '.join(nearest)}; give another folder, or --mix to keep both in one"
    )
