"""Accuracy against k, voted anew from stored samples: no model is asked again.

    revote(load_runs(rows), ks=[1, 2, 4, 8], rules=["sum", "majority"])
    -> [{"curve": "sum", "rule": "sum", "k": 1, "k_meta": None, "accuracy": 0.71, "low": 0.66, "high": 0.76, ...}, ...]

A point is the mean over items of what k of the item's K samples give on average over subsets that keep the design
(`subsets`): over all of them where they are few, else over a seeded draw for each item. All rules vote on the same
subsets and are resampled together, so their points can be compared. Knows nothing about files or texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .ballots import Ballots, ballots
from .bootstrap import differences, intervals, ratios
from .rules_grm import default_k_meta, find_rule
from .runs import Bools, Floats, Group, Ints, Runs
from .subsets import count, draws, subsets
from .types_grm import InvalidInput

TIES = ("half", "wrong", "random")
CELLS = 2**22  # how many votes are held at once: 32 MB
SAMPLES = 64  # subsets drawn for an item

FIGURES = ("credit", "answered", "tied", "tokens")  # of one item at one point: means over its subsets


class _Curve(NamedTuple):
    """A rule, and how many may vote where it ranks its samples (None: k // 2 at each k)."""

    rule: str
    k_meta: int | None = None


class _How(NamedTuple):
    ties: str
    quorum: float
    samples: int
    seed: int


def revote(
    runs: Runs,
    ks: Sequence[int],
    rules: Sequence[str] = ("sum",),
    k_metas: Sequence[int | None] = (None,),
    *,
    ties: str = "half",
    quorum: float = 0.5,
    samples: int = SAMPLES,
    resamples: int = 1000,
    seed: int = 0,
    against: str | None = None,
) -> list[dict[str, Any]]:
    """The points of one curve a rule (and a k_meta, where the rule ranks its samples), as plain JSON.

    Args:
        runs: stored samples; only `runs.labelled` items count, `runs.excluded` says which do not.
        ks: sizes of the vote.
        rules: names in `rules_grm.RULES`.
        k_metas: None means k // 2 (at least 1) at each k; a fixed number has no points where it is above k.
        ties: what a tie of m for the highest is worth where the labelled best is among them: `half` 1/m, the expected
            credit of a random tie-break (the paper shuffles before its argmax); `random` such a tie-break, drawn;
            `wrong` nothing.
        quorum: least share of the k samples that must be OK, as in `vote`.
        samples: subsets drawn for an item where there are more than twice as many; else all of them are taken.
        resamples: of the bootstrap.
        seed: of all draws.
        against: one of `rules`, without k_meta: every point also gets its `gain` in accuracy over it at the same k,
            with `gain_low` and `gain_high`, its paired interval over items.

    Returns:
        `accuracy` counts an abstention as wrong (the strict accuracy); `low` and `high` are its 95% bootstrap interval
        over items. `answered` is the accuracy of the votes that gave an answer, with `answered_low` and
        `answered_high`; `coverage` the share that did; `tie_rate` the share of those that tied for the highest.
        `tokens` are generated tokens an item, the judge's only. `exact` says that all subsets were taken. None stands
        where there is nothing to say: no answers, tokens not counted.

    Raises:
        InvalidInput: k above the stored K, a store with unequal K or with gaps, no labelled item, an unknown rule or
            tie policy, a rule for which no sample has what it needs, or `against` is no rule of these.
    """
    how = _How(ties, quorum, samples, seed)
    _check_against(against, rules)
    _check_settings(ks, k_metas, how)
    _check_store(runs, max(ks))
    groups = runs.labelled
    boxes = [{rule: ballots(group, rule) for rule in rules} for group in groups]
    _check_needs(groups, boxes)
    curves = [_Curve(rule, k_meta) for rule in rules for k_meta in (k_metas if find_rule(rule).rank else (None,))]
    points = [(curve, k) for k in ks for curve in _at(curves, k)]
    by_k = [
        np.concatenate([_figures(*pair, _at(curves, k), k, how) for pair in zip(groups, boxes, strict=True)], axis=-1)
        for k in ks
    ]
    exact = {k: all(_is_exact(group, k, samples) for group in groups) for k in ks}
    figures = np.concatenate(by_k)
    rows = _rows(points, figures, exact, resamples, seed)
    if against:
        rows = _with_gains(rows, points, against, figures[:, FIGURES.index("credit")].T, resamples, seed)
    return [rows[points.index((curve, k))] for curve in curves for k in ks if (curve, k) in points]


def item_credits(
    runs: Runs, k: int, rule: str, *, ties: str = "half", quorum: float = 0.5, seed: int = 0
) -> dict[str, float]:
    """Each labelled item's credit under a rule with k of its samples (see `revote`).

    Raises:
        InvalidInput: as `revote`.
    """
    how = _How(ties, quorum, SAMPLES, seed)
    _check_settings([k], [None], how)
    _check_store(runs, k)
    boxes = [{rule: ballots(group, rule)} for group in runs.labelled]
    _check_needs(runs.labelled, boxes)
    found: dict[str, float] = {}
    for group, box in zip(runs.labelled, boxes, strict=True):
        figures = _figures(group, box, [_Curve(rule)], k, how)
        found |= dict(zip(group.items, figures[0, FIGURES.index("credit")].tolist(), strict=True))
    return found


def _at(curves: Sequence[_Curve], k: int) -> list[_Curve]:
    """The curves that have a point at k."""
    return [curve for curve in curves if (curve.k_meta or 1) <= k]


def _require(ok: bool, text: str) -> None:
    if not ok:
        raise InvalidInput(text)


def _check_settings(ks: Sequence[int], k_metas: Sequence[int | None], how: _How) -> None:
    _require(bool(ks) and min(ks) >= 1, f"k: {list(ks)} is not usable; give whole numbers of samples, at least 1")
    _require(len(set(ks)) == len(ks), f"k: {list(ks)} holds a number twice; name each once")
    fixed = [k_meta for k_meta in k_metas if k_meta is not None]
    usable = bool(k_metas) and all(1 <= k_meta <= max(ks) for k_meta in fixed)
    _require(usable, f"k_meta: {list(k_metas)} is not usable; give numbers between 1 and the largest k = {max(ks)}")
    _require(how.ties in TIES, f"ties: {how.ties!r} is not known; known are {', '.join(TIES)}")
    _require(0 < how.quorum <= 1, f"quorum: {how.quorum!r} is not usable; give a share in (0, 1]")
    _require(how.samples >= 1, f"samples: {how.samples!r} is not usable; give at least 1")


def _check_against(against: str | None, rules: Sequence[str]) -> None:
    plain = [rule for rule in rules if not find_rule(rule).rank]
    said = f"against: {against!r} is not one of the rules that all samples vote under: {', '.join(plain) or 'none'}"
    _require(against is None or against in plain, said)


def _check_store(runs: Runs, k: int) -> None:
    counts = runs.counts
    held = ", ".join(f"{items} items with {stored}" for stored, items in counts.items())
    _require(
        len(counts) == 1, f"stored: items hold unequal numbers of samples ({held}); finish the run, then vote anew"
    )
    _require(k <= min(counts), f"k: {k} is above what is stored ({held}); give at most {min(counts)}")
    gaps = sum(int((group.sample != np.arange(group.k)).any(axis=1).sum()) for group in runs.groups)
    _require(gaps == 0, f"stored: {gaps} items lack some of their first {min(counts)} samples; finish the run first")
    why = ", ".join(f"{items} with {reason}" for reason, items in runs.excluded.items())
    _require(
        bool(runs.labelled), f"best: no stored item can tell its accuracy ({why}); score rows with a labelled best"
    )


def _check_needs(groups: Sequence[Group], boxes: Sequence[dict[str, Ballots]]) -> None:
    """A rule without a single vote is a wrong question, unless nothing is readable at all."""
    readable = any(group.ok.any() for group in groups)
    for rule in boxes[0]:
        able = any(box[rule].able.any() for box in boxes)
        _require(able or not readable, f"rule: no stored sample has what {rule!r} asks for; leave it out")


def _is_exact(group: Group, k: int, samples: int) -> bool:
    return count(k, group.k, group.n) <= 2 * samples


def _figures(group: Group, box: dict[str, Ballots], curves: Sequence[_Curve], k: int, how: _How) -> Floats:
    """[curves, FIGURES, items] of a group at k."""
    rng = np.random.default_rng([how.seed, k, group.n, group.k])
    every = subsets(k, group.k, group.n)[None] if _is_exact(group, k, how.samples) else None
    voted = 1 if every is None else every.shape[1]
    figures = np.zeros((len(curves), len(FIGURES), len(group.items)))
    for part in _parts(len(group.items), max(voted, how.samples) * k * group.n):
        size = (part.stop - part.start, how.samples)
        places = draws(k, group.k, group.n, size, rng) if every is None else every
        luck = rng.random((size[0], places.shape[1]))
        figures[:, :, part] = _part_figures(group, box, curves, part, places, luck, how)
    return figures


def _parts(items: int, cells: int) -> Iterator[slice]:
    """The items in slices that need no more than CELLS cells each."""
    step = max(1, CELLS // cells)
    return (slice(start, min(start + step, items)) for start in range(0, items, step))


def _part_figures(
    group: Group,
    box: dict[str, Ballots],
    curves: Sequence[_Curve],
    part: slice,
    places: Ints,
    luck: Floats,
    how: _How,
) -> Floats:
    """[curves, FIGURES, items of the part], from places [items or 1, subsets, k]."""
    at = np.arange(part.start, part.stop)[:, None, None]
    k = places.shape[-1]
    valid = group.ok[at, places].sum(axis=-1)
    enough = (valid > 0) & (valid / k >= how.quorum)
    tokens = group.tokens[at, places].sum(axis=-1)
    found = []
    for rule, k_meta in curves:
        totals, able = _totals(box[rule], at, places, k_meta or default_k_meta(k))
        credit, tied = _credit(totals, group.best[part], luck, how.ties)
        answered = enough & able
        found.append([(credit * answered).mean(-1), answered.mean(-1), (tied & answered).mean(-1), tokens.mean(-1)])
    return np.array(found)


def _totals(box: Ballots, at: Ints, places: Ints, k_meta: int) -> tuple[Ints, Bools]:
    """Summed votes [I, S, n] of each subset, and whether anyone in it could vote [I, S]."""
    if box.rank is not None:
        first = np.argsort(-box.rank[at, places], axis=-1, kind="stable")[..., :k_meta]
        places = np.take_along_axis(np.broadcast_to(places, (len(at), *places.shape[1:])), first, axis=-1)
    totals: Ints = box.votes[at, places].sum(axis=2)
    able: Bools = np.any(box.able[at, places], axis=-1, keepdims=False)
    return totals, able


def _credit(totals: Ints, best: Ints, luck: Floats, ties: str) -> tuple[Floats, Bools]:
    """What each vote is worth [I, S], and whether it is a tie for the highest."""
    highest = totals == totals.max(axis=-1, keepdims=True)
    among = highest.sum(axis=-1)
    right = np.take_along_axis(highest, best[:, None, None], axis=-1)[..., 0]
    worth: NDArray[Any] = {"half": 1 / among, "wrong": among == 1, "random": luck * among < 1}[ties]
    return right * worth.astype(np.float64), among > 1


def _rows(
    points: Sequence[tuple[_Curve, int]], figures: Floats, exact: dict[int, bool], resamples: int, seed: int
) -> list[dict[str, Any]]:
    credit, answered, tied, tokens = (figures[:, at].T for at in range(len(FIGURES)))
    ones, size = np.ones_like(credit), len(points)
    low, high = intervals(np.hstack([credit, credit]), np.hstack([ones, answered]), resamples=resamples, seed=seed)
    columns = {
        "accuracy": ratios(credit, ones),
        "low": low[:size],
        "high": high[:size],
        "answered": ratios(credit, answered),
        "answered_low": low[size:],
        "answered_high": high[size:],
        "coverage": ratios(answered, ones),
        "tie_rate": ratios(tied, answered),
        "tokens": ratios(tokens, ones) if tokens.any() else np.full(size, np.nan),
    }
    return [
        {
            "curve": curve.rule if curve.k_meta is None else f"{curve.rule}, k_meta {curve.k_meta}",
            "rule": curve.rule,
            "k": k,
            "k_meta": (curve.k_meta or default_k_meta(k)) if find_rule(curve.rule).rank else None,
            **{name: None if np.isnan(column[at]) else float(column[at]) for name, column in columns.items()},
            "items": len(credit),
            "exact": exact[k],
        }
        for at, (curve, k) in enumerate(points)
    ]


def _with_gains(
    rows: list[dict[str, Any]],
    points: Sequence[tuple[_Curve, int]],
    against: str,
    credit: Floats,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The points with what they gain over the rule at the same k; [items, points] credits are resampled as one."""
    base = [points.index((_Curve(against), k)) for _, k in points]
    gains = differences(credit, base, resamples=resamples, seed=seed)
    return [
        {**row, "gain": gain, "gain_low": low, "gain_high": high}
        for row, (gain, low, high) in zip(rows, gains, strict=True)
    ]
