"""Keeps length and place from telling the best response, and measures what they would tell.

kept = balanced(entries, report)     in each part, source, strength and n, the best is of each rank of length as often
baselines(kept)                      how often the longest, the shortest and the first response is the best
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from ...bootstrap import wilson
from ..contrast.sources import places, words
from ..drawing import draw
from ..preference import Report
from .entries import Entry

OFF_BALANCE = "left out, so that length does not tell the best"
K = TypeVar("K", bound=Hashable)
CHOICES: dict[str, Callable[[Sequence[str]], Sequence[float]]] = {
    "longest": lambda texts: [words(text) for text in texts],
    "shortest": lambda texts: [-words(text) for text in texts],
    "most characters": lambda texts: [len(text) for text in texts],
    "first": lambda texts: [-at for at in range(len(texts))],
}
"""Name -> a figure a response, by which the highest is chosen; a tie is shared."""


def grouped(entries: Iterable[Entry], key: Callable[[Entry], K]) -> dict[K, list[Entry]]:
    """The entries by a key, in their order."""
    found: dict[K, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[key(entry)].append(entry)
    return found


def balanced(entries: Iterable[Entry], report: Report) -> list[Entry]:
    """The entries of which none is left over, their best responses in every place in turn.

    Single responses pass as they are. Which of too many are left out goes by a hash.
    """
    kept: list[Entry] = []
    keys = grouped(entries, lambda entry: (entry.part, entry.label, entry.n, entry.strength))
    for (_, _, n, _), group in keys.items():
        group = sorted(group, key=_draw)
        stay = group if n == 1 else _even(group, n, report)
        kept += [entry.moved(at % n) for at, entry in enumerate(stay)]
    return kept


def _draw(entry: Entry) -> str:
    return draw("balance", entry.item.id)


def ranks(entry: Entry) -> range:
    """Where the best response may stand among all, the longest first; several places in a tie."""
    return places(entry.item.request.responses, entry.item.best or 0)


def signs(entry: Entry) -> tuple[int, int]:
    """Of a pair: whether the best response has more (1), as many (0) or fewer (-1) words, and characters."""
    best, other = (entry.item.request.responses[at] for at in (entry.item.best or 0, 1 - (entry.item.best or 0)))
    return _sign(words(best) - words(other)), _sign(len(best) - len(other))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _even(group: Sequence[Entry], n: int, report: Report) -> list[Entry]:
    kept = _mirrored(group) if n == 2 else _ranked(group, n)
    names = {entry.item.id for entry in kept}
    for entry in group:
        if entry.item.id not in names:
            report.lose(entry.label, OFF_BALANCE, entry.item.id)
    return sorted(kept, key=_draw)


def _mirrored(group: Sequence[Entry]) -> list[Entry]:
    """As many pairs whose best response is longer, in words and in characters, as pairs whose other one is."""
    found = grouped(group, signs)
    sizes = {key: len(pairs) for key, pairs in found.items()}
    return [pair for (w, c), pairs in found.items() for pair in pairs[: sizes.get((-w, -c), 0)]]


def _ranked(group: Sequence[Entry], n: int) -> list[Entry]:
    """As many of each rank as the rarest one has, and those whose responses are all of one length."""
    found = grouped(group, ranks)
    alone = [found.get(range(rank, rank + 1), []) for rank in range(n)]
    most = min(map(len, alone))
    return [*found.get(range(n), []), *(entry for entries in alone for entry in entries[:most])]


def baselines(entries: Iterable[Entry]) -> dict[str, Any]:
    """How often each of `CHOICES` is the best response, with Wilson's 95% interval, beside chance."""
    several = [entry for entry in entries if entry.n > 1]
    count = max(1, len(several))
    found: dict[str, Any] = {"items": len(several), "chance": sum(1 / entry.n for entry in several) / count}
    for name, figure in CHOICES.items():
        share = sum(_credit(entry, figure(entry.item.request.responses)) for entry in several) / count
        found[name] = {"share": share, "ci95": list(wilson(share, len(several)))}
    return found


def _credit(entry: Entry, figures: Sequence[float]) -> float:
    top = [at for at, figure in enumerate(figures) if figure == max(figures)]
    return (entry.item.best in top) / len(top)
