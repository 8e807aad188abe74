"""A baseline as a function of items, and its answers kept in a file as they come.

    {"format": 1, "judge": {"kind": "scalar", "model": "org/a-reward-model"}}
    {"key": "5f1c...", "scores": [1.25, -0.5], "samples": [], "reason": null}

The file holds no texts. Its first line says whose answers they are; another judge's are refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from ..benchmarks.base import Item, Judged
from ..reports.answers import Answers, Ballot, kind_of, orders_apart, told, unasked
from ..trajectories.samples import response_hashes
from ..trajectories.schema import digest
from ..types_grm import InvalidInput, Outcome
from ..voting_grm import item_hash

FORMAT = 2


@dataclass(frozen=True)
class Answer:
    """What a baseline says of one item, in the item's order of the responses.

    Attributes:
        scores: one a response; None where it has nothing to say.
        samples: the judgements behind them, where the judge saw the responses in several orders (`order`, `outcome`,
            `scores`; `sample`, `seed`, `prompt_tokens` and `completion_tokens` where they are counted one by one).
        reason: why it refused the item.
    """

    scores: tuple[float, ...] | None
    samples: tuple[dict[str, Any], ...] = ()
    reason: str | None = None


class Baseline(Protocol):
    """A judge that is no generative reward model.

    Attributes:
        about: who it is, with all that its answers depend on, as plain JSON.
        k: judgements an item that a report counts one by one; 0 where there are none.
    """

    about: dict[str, Any]
    k: int

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """One answer an item, in their order, as soon as each is there."""
        ...


def over_orders(found: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Answer:
    """An item's answer from each order's own.

    Args:
        found: (order, scores) of each order; the scores stand as the responses were shown.

    Returns:
        Scores in the item's order, averaged over the orders, with those of each.
    """
    samples = tuple(
        {"order": list(order), "outcome": Outcome.OK.value, "scores": [scores[order.index(at)] for at in sorted(order)]}
        for order, scores in found
    )
    return Answer(tuple(map(fmean, zip(*(sample["scores"] for sample in samples), strict=True))), samples)


def key_of(item: Item) -> str:
    """What names an item together with the order of its responses."""
    return digest(item_hash(item.request), list(response_hashes(item.request)))[:32]


def judge(items: Sequence[Item], baseline: Baseline, path: Path | None = None) -> Iterator[tuple[Item, Answer]]:
    """Every item with its answer; with a file, what it has is not asked anew and each new answer goes there.

    Raises:
        InvalidInput: the file holds another judge's answers, or is none.
    """
    kept = {} if path is None else _read(path, baseline.about)
    names = {item.id: key_of(item) for item in items}
    missing = {names[item.id]: item for item in items if names[item.id] not in kept}
    fresh = zip(missing, baseline(list(missing.values())), strict=True)
    for item in items:
        while names[item.id] not in kept:
            name, answer = next(fresh)
            kept[name] = answer
            if path is not None:
                _append(path, {"key": name, **asdict(answer)})
        yield item, kept[names[item.id]]


def answers_of(found: Sequence[tuple[Item, Answer]], ballot: Ballot, both_orders: bool = False) -> Answers:
    """Answers as a report takes them; a refused item counts like one that could not be read.

    Args:
        found: items with their answers.
        ballot: how the samples are voted on; its k is the baseline's.
        both_orders: the benchmark counts both orders of a pair, so that they are voted on apart where the judge saw
            both.
    """
    refused = Counter(kind_of(answer.reason) for _, answer in found if answer.reason)
    judged = [Judged(item, answer.scores) for item, answer in found]
    rows = [(item, _samples(item, answer, ballot.k)) for item, answer in found]
    both_orders &= any(answer.samples for _, answer in found)
    apart = [one for item, some in rows for one in orders_apart(item, some, ballot)] if both_orders else []
    samples = [row for _, some in rows for row in some] if ballot.k else []
    return Answers(judged, samples, dict(refused), apart)


def _samples(item: Item, answer: Answer, k: int) -> list[dict[str, Any]]:
    if not answer.samples:
        return unasked(item, k or item.request.n)
    blank = unasked(item, 1)[0]
    return [blank | told(item) | sample for sample in answer.samples]


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _read(path: Path, about: Mapping[str, Any]) -> dict[str, Answer]:
    """The answers that are there; begins the file where there is none. A line cut off by a kill is passed over."""
    header = {"format": FORMAT, "judge": dict(about)}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, header)
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != json.dumps(header):
        raise InvalidInput(f"{path}: holds the answers of {lines[0][:200]}, not of {json.dumps(header)}; give another")
    if lines[-1]:
        path.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    rows = [json.loads(line) for line in lines[1:-1]]
    return {row["key"]: _answer(row) for row in rows}


def _answer(row: Mapping[str, Any]) -> Answer:
    scores = None if row["scores"] is None else tuple(row["scores"])
    return Answer(scores, tuple(row["samples"]), row["reason"])
