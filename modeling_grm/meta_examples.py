"""A trajectory store becomes examples for the meta RM: token ids and whether the judgement is correct (Eq 10).

Items are split by the hash of their conversation: an item keeps its place whatever else is in the store, and no two
parts share a prompt. The items that the GRM was trained on stay out: the meta RM never learns from judgements of what
the GRM has seen.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .judged_grm import encode_judged, judged_messages
from .meta_quality import strictly_correct
from .rating import critique_of, request_of
from .rows import Row, read_rows
from .trajectories import read
from .types_grm import InvalidInput, Outcome
from .voting_grm import item_hash

BALANCES = ("none", "downsample", "weight")
SPLITS = ("train", "calibration", "test")
COLUMNS = (
    "key", "item", "query", "responses", "reference", "principles", "order", "seed", "text", "outcome", "scores",
    "labels", "best",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """One judgement: its sample's key, its item, that one's conversation, its token ids, and whether it is correct."""

    key: str
    item: str
    query: str
    ids: list[int]
    correct: bool


def split_of(query: str, test_share: float, calibration_share: float) -> str:
    """Which part a conversation's items belong to, by its hash alone."""
    draw = int(hashlib.sha256(f"meta split {query}".encode()).hexdigest()[:13], 16) / 16**13
    if draw < test_share:
        return "test"
    return "calibration" if draw < test_share + calibration_share else "train"


def excluded_items(sources: Iterable[str]) -> set[str]:
    """Items that the GRM was trained on: of a store, a file of rows, or a .txt file of item hashes, a line each."""
    found: set[str] = set()
    for source in map(Path, sources):
        if source.is_dir():
            found |= {item for batch in read(source, ["item"]) for item in batch["item"].to_pylist()}
        elif source.suffix == ".txt":
            found |= set(source.read_text(encoding="utf-8").split())
        else:
            found |= {item_hash(row.request) for row in read_rows(source) if isinstance(row, Row)}
    return found


def examples(store: str, tokenizer: Any, *, max_tokens: int, exclude: set[str]) -> tuple[list[Example], Counter[str]]:
    """The store's usable judgements, and why the others are none."""
    made, left = [], Counter[str]()
    for batch in read(store, COLUMNS):
        for row in batch.to_pylist():
            found = _example(row, tokenizer, max_tokens, exclude)
            if isinstance(found, Example):
                made.append(found)
            else:
                left[found] += 1
    return made, left


def _example(row: dict[str, Any], tokenizer: Any, max_tokens: int, exclude: set[str]) -> Example | str:
    if row["outcome"] != Outcome.OK.value:
        return "unreadable"
    if row["text"] is None:
        return "without text"
    if row["item"] in exclude:
        return "item of the GRM's training"
    correct = strictly_correct(row["scores"], row["labels"], row["best"])
    if correct is None:
        return "without label"
    ids = encode_judged(tokenizer, judged_messages(request_of(row), critique_of(row)))
    if len(ids) > max_tokens:
        return "too long"
    return Example(row["key"], row["item"], json.dumps(row["query"]), ids, correct)


def split(made: Sequence[Example], test_share: float, calibration_share: float) -> dict[str, list[Example]]:
    """The examples of each part.

    Raises:
        InvalidInput: a part that is needed is empty, or the training part has one kind only.
    """
    parts: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for example in made:
        parts[split_of(example.query, test_share, calibration_share)].append(example)
    if len({example.correct for example in parts["train"]}) < 2 or not parts["test"]:
        counts = {name: len(part) for name, part in parts.items()}
        raise InvalidInput(f"store: {counts} examples; training needs correct and wrong ones, and there must be a test")
    return parts


def balanced(part: list[Example], balance: str, seed: int) -> tuple[list[Example], float]:
    """(examples, weight of a correct one): nothing done, the more frequent kind thinned out, or weighed down.

    Raises:
        InvalidInput: an unknown way.
    """
    if balance not in BALANCES:
        raise InvalidInput(f"balance: {balance!r} is not known; known are {', '.join(BALANCES)}")
    right, wrong = ([e for e in part if e.correct is kind] for kind in (True, False))
    if balance == "weight":
        return part, len(wrong) / len(right)
    if balance == "downsample":
        few = min(len(right), len(wrong))
        chance = random.Random(seed)
        kept = {id(e) for kind in (right, wrong) for e in chance.sample(kind, few)}
        return [e for e in part if id(e) in kept], 1.0
    return part, 1.0
