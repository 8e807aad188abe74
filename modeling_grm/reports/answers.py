"""A benchmark's items and the stored samples that belong to them, voted on.

    stored = load_stored(Path("report/store"))
    answered(loaded.items, stored, Ballot(k=8)).judged[0]  -> Judged(item, scores=(8.25, 3.5))

An item is known by its content, so the rows of a store may come in any order and from any other run. Its samples are
turned into the item's own order of the responses. What the judge refused (a prompt that is too long) stands in a file
beside the samples, by content too, so that a report says the same with the judge at hand and without. Knows nothing
about metrics.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import runs
from ..benchmarks.base import Item, Judged, swapped
from ..trajectories import read, settings_in
from ..trajectories.samples import arrangement, response_hashes
from ..types_grm import Critique, InvalidInput, Outcome
from ..voting_grm import item_hash, orders, vote

REFUSED_FILE = "refused.jsonl"
REFUSED = "refused"  # the outcome of samples that were never asked for
COLUMNS = (*runs.COLUMNS, "prompt_tokens", "settings", "response_hashes", "backend_version")
_LISTED = ("scores", "expected")

Sample = dict[str, Any]
"""One stored sample: a row with `COLUMNS`."""


@dataclass(frozen=True)
class Ballot:
    """How k samples become one vote, as in `voting_grm.vote`."""

    k: int
    rule: str | None = None
    k_meta: int | None = None
    quorum: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"k": self.k, "rule": self.rule or "sum", "k_meta": self.k_meta, "quorum": self.quorum}


@dataclass(frozen=True)
class Stored:
    """What a store says under one set of settings.

    Attributes:
        settings: of the samples, as `store.json` spells them out.
        samples: item's hash -> its samples, earlier ones first.
        refused: item's hash -> why it was not judged.
        versions: of the engines that wrote them.
        meta_model: the meta RM whose ratings they have.
    """

    settings: Mapping[str, Any]
    samples: Mapping[str, Sequence[Sample]]
    refused: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    meta_model: str | None = None

    @property
    def k(self) -> int:
        """How many samples every item has at least; 0 where there are none."""
        return min(map(len, self.samples.values()), default=0)


@dataclass(frozen=True)
class Answers:
    """What a judge said of a benchmark's items.

    Attributes:
        judged: every item, with the vote in its own order of the responses.
        samples: k rows an item as `runs.load_runs` takes them, named by the item's id; empty for a judge without any.
        refused: why items were not judged -> how many.
        apart: the two orders of each pair as judgements of their own (`orders_apart`), for an official metric that
            counts both; empty where one vote an item stands for both.
    """

    judged: Sequence[Judged]
    samples: Sequence[Sample] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    apart: Sequence[Judged] = ()


def load_stored(folder: Path, settings: str | None = None, meta_model: str | None = None) -> Stored:
    """Read a store's samples of one set of settings, texts left out.

    Args:
        folder: the store.
        settings: their digest; may be left out where there is one set.
        meta_model: the full name of the meta RM whose ratings to give, where several have rated.

    Raises:
        InvalidInput: no store, no such settings, or several and none chosen.
    """
    chosen = chosen_settings(folder, settings)
    samples: dict[str, list[Sample]] = {}
    versions: set[str] = set()
    for batch in read(folder, COLUMNS, meta_model=meta_model):
        for row in batch.to_pylist():
            if row["settings"] == chosen:
                samples.setdefault(row["item"], []).append(row)
                versions |= {row["backend_version"]} - {None}
    for found in samples.values():
        found.sort(key=lambda row: row["sample"])
    return Stored(settings_in(folder)[chosen], samples, refusals(folder), tuple(sorted(versions)), meta_model)


def chosen_settings(folder: Path, settings: str | None) -> str:
    """The digest of the settings asked for, or of the only ones that a store has.

    Raises:
        InvalidInput: no store, no such settings, or several and none chosen.
    """
    there = settings_in(folder)
    if settings is None and len(there) == 1:
        return next(iter(there))
    if settings not in there:
        raise InvalidInput(f"settings: {settings!r} is not usable; {folder} has {', '.join(there)}: choose one of them")
    return str(settings)


def refusals(folder: Path) -> dict[str, str]:
    """Item's hash -> why it was refused, as `note_refusal` wrote it."""
    path = folder / REFUSED_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["item"]: row["reason"] for row in map(json.loads, lines)}


def note_refusal(folder: Path, item: str, reason: str) -> None:
    """Write down that an item cannot be judged, once."""
    if refusals(folder).get(item) != reason:
        with (folder / REFUSED_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"item": item, "reason": reason}) + "\n")


def answered(items: Iterable[Item], stored: Stored, ballot: Ballot) -> Answers:
    """Every item with the vote of its first k samples; a refused one abstains.

    Raises:
        InvalidInput: items that were neither judged nor refused, or have fewer than k samples.
    """
    known = [(item, item_hash(item.request)) for item in items]
    _check_complete([name for _, name in known], stored, ballot.k)
    judged: list[Judged] = []
    samples: list[Sample] = []
    refused: Counter[str] = Counter()
    for item, name in known:
        found = stored.samples.get(name)
        refused.update([] if found else [kind_of(stored.refused[name])])
        mine = _arranged(item, found[: ballot.k]) if found else unasked(item, ballot.k)
        samples += mine
        judged.append(Judged(item, _vote(mine, item.request.n, ballot)))
    return Answers(judged, samples, dict(refused))


def kind_of(reason: str) -> str:
    """A reason without the numbers that are an item's own, so that reasons can be counted."""
    return re.sub(r"[0-9][0-9,]*", "N", reason.split(";")[0])


def _check_complete(names: Sequence[str], stored: Stored, k: int) -> None:
    absent = sum(name not in stored.samples and name not in stored.refused for name in names)
    if absent:
        raise InvalidInput(
            f"store: {absent} of {len(names)} items are not in it; give the --limit, --seed, --subset and --data of "
            "the run that made it, or judge them (without --from-store)"
        )
    short = sum(len(stored.samples[name]) < k for name in names if name in stored.samples)
    if short:
        raise InvalidInput(f"k: {short} items have fewer than {k} samples; finish the run first, or give a smaller --k")


def _arranged(item: Item, rows: Sequence[Sample]) -> list[Sample]:
    """The samples in the item's own order of the responses, under its id and with its labels."""
    places = arrangement(response_hashes(item.request), rows[0]["response_hashes"])
    here = {place: at for at, place in enumerate(places)}
    return [row | told(item) | _placed(row, places) | {"order": [here[at] for at in row["order"]]} for row in rows]


def _placed(row: Sample, places: Sequence[int]) -> Sample:
    return {name: None if row[name] is None else [row[name][at] for at in places] for name in _LISTED}


def told(item: Item) -> Sample:
    labels = None if item.labels is None else list(item.labels)
    return {"item": item.id, "n": item.request.n, "best": item.best, "labels": labels if item.best is None else None}


def unasked(item: Item, k: int) -> list[Sample]:
    """k samples that say nothing, so that a refused item counts like one that could not be read."""
    nothing = dict.fromkeys(COLUMNS) | told(item) | {"outcome": REFUSED}
    design = orders(item.request, item.request.n, k)
    return [nothing | {"sample": at, "order": list(order), "seed": seed} for at, (order, seed) in enumerate(design)]


def critique_of(row: Sample) -> Critique:
    """A sample as a vote reads it, without its text."""
    scores, expected = (None if row[name] is None else tuple(row[name]) for name in _LISTED)
    return Critique(
        "",
        Outcome(row["outcome"]),
        tuple(row["order"]),
        row["seed"],
        scores=scores,
        expected=expected,
        meta_score=row["meta_score"],
        completion_tokens=row["completion_tokens"] or 0,
    )


def votes_of(answers: Answers, k: int, ballot: Ballot) -> list[Judged]:
    """The votes of the first `ballot.k` of the k samples that each item has; of each order where they are apart."""
    starts = range(0, len(answers.samples), k)
    firsts = (answers.samples[start : start + ballot.k] for start in starts)
    pairs = zip(answers.judged, firsts, strict=True)
    if answers.apart:
        return [shown for one, rows in pairs for shown in orders_apart(one.item, rows, ballot)]
    return [replace(one, scores=_vote(rows, one.item.request.n, ballot)) for one, rows in pairs]


def orders_apart(item: Item, rows: Sequence[Sample], ballot: Ballot) -> list[Judged]:
    """A pair in each order in which its samples saw it, voted on by those alone; the other order is another item."""
    seen: dict[tuple[int, ...], list[Sample]] = {}
    for row in rows:
        seen.setdefault(tuple(row["order"]), []).append(row)
    own = tuple(range(item.request.n))
    votes = {order: _vote(group, item.request.n, ballot) for order, group in sorted(seen.items())}
    return [
        Judged(item, scores) if order == own else Judged(swapped(item), scores and scores[::-1])
        for order, scores in votes.items()
    ]


def _vote(rows: Sequence[Sample], n: int, ballot: Ballot) -> tuple[float, ...] | None:
    critiques = [critique_of(row) for row in rows if row["outcome"] != REFUSED]
    return vote(critiques, n, quorum=ballot.quorum, k_meta=ballot.k_meta, rule=ballot.rule).scores
