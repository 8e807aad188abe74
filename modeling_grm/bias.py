"""How much a judge's scores depend on where a response is shown, from stored samples.

    position_bias(load_runs(rows))["n"]["2"]
    -> {"items": 100, "slot_effect": [{"slot": 1, "effect": 0.31, "low": 0.2, "high": 0.42}, ...], ...}

Possible because each response meets each slot equally often (`orders`). An order is known by the response it shows
first: an item's n orders are rotations of one permutation. Needs no labels; knows nothing about files or texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bootstrap import intervals, ratios, resampled, tails
from .runs import Bools, Floats, Group, Ints, Runs
from .types_grm import InvalidInput

NOBODY = -1


def position_bias(runs: Runs, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """The report, as plain JSON; each figure with its 95% bootstrap interval over items.

    Args:
        runs: stored samples; failures do not count, and items with one response have no order.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `n`, by number of responses, and `skipped` items with one response. For each n:
        `items`: how many there are.
        `slot_effect`: for each slot, counted from 1: the mean score of a response there less its mean over all slots,
            in points, averaged over the responses of an item and over items. They sum to 0. `items_balanced` says how
            many items have an OK sample of each response in each slot; the others are left out.
        `slot_wins`: for each slot, how often a sample's single highest score went to the response shown there; 1/n
            without bias, where the design is balanced.
        `flip_rate`: how often the winners of two of an item's orders differ, each by the sum of its OK samples; ties
            are left out, `pairs` are compared. Sampling noise is part of it.
        `sample_flips`: the same for two single samples: of different orders (`across`), of the same order (`within`:
            noise alone), and their `excess`: what the order does.

    Raises:
        InvalidInput: no item has more than one response.
    """
    groups = [group for group in runs.groups if group.n > 1]
    if not groups:
        raise InvalidInput("stored: every item has one response, so there is no order to compare; score lists or pairs")
    sizes = sorted({group.n for group in groups})
    report = {
        str(n): _report([group for group in groups if group.n == n], resamples=resamples, seed=seed) for n in sizes
    }
    return {"n": report, "skipped": sum(len(group.items) for group in runs.groups if group.n == 1)}


def _report(groups: list[Group], **how: Any) -> dict[str, Any]:
    n = groups[0].n
    effects = np.concatenate([slot_effects(group) for group in groups])
    balanced = ~np.isnan(effects).any(axis=1)
    wins, decided = (np.concatenate(parts) for parts in zip(*map(_slot_wins, groups), strict=True))
    flips, pairs = (np.concatenate(parts) for parts in zip(*map(_order_flips, groups), strict=True))
    return {
        "items": len(effects),
        "items_balanced": int(balanced.sum()),
        "slot_effect": _by_slot("effect", effects[balanced], np.ones((int(balanced.sum()), n)), shares=False, **how),
        "slot_wins": _by_slot("rate", wins, np.repeat(decided, n, axis=1), **how),
        "flip_rate": _figures(flips, pairs, **how)[0] | {"pairs": int(pairs.sum())},
        "sample_flips": _sample_flips(groups, **how),
    }


def slot_effects(group: Group) -> Floats:
    """[I, n] an item's mean score in each slot less its mean over slots; NaN where a response misses a slot."""
    shape = (len(group.items), group.n, group.n)
    total, seen = np.zeros(shape), np.zeros(shape)
    at = np.arange(len(group.items))
    for sample in range(group.k):
        ok = group.ok[:, sample]
        for slot in range(group.n):
            response = group.order[:, sample, slot]
            total[at, response, slot] += np.where(ok, group.scores[at, sample, response], 0)
            seen[at, response, slot] += ok
    means = np.divide(total, seen, out=np.full(shape, np.nan), where=seen > 0)
    effects: Floats = (means - means.mean(axis=2, keepdims=True)).mean(axis=1)
    return effects


def _winners(totals: NDArray[Any], able: Bools) -> Ints:
    """The single highest along the last axis; NOBODY in a tie or where nobody could vote."""
    single = (totals == totals.max(axis=-1, keepdims=True)).sum(axis=-1) == 1
    return np.where(single & able, totals.argmax(axis=-1), NOBODY)


def _slot_wins(group: Group) -> tuple[Floats, Floats]:
    """[I, n] samples won by the response in each slot, and [I, 1] samples with a winner."""
    shown = np.take_along_axis(group.scores, group.order, axis=2)
    winners = _winners(shown, group.ok)
    wins = _one_hot(winners, group.n).sum(axis=1).astype(np.float64)
    return wins, wins.sum(axis=1, keepdims=True)


def _one_hot(which: Ints, n: int) -> Ints:
    return (which[..., None] == np.arange(n)).astype(np.int64)


def _in_order(group: Group) -> Ints:
    """[I, K, R] which of the item's n orders each OK sample shows: 1, else 0."""
    first = group.order[:, :, 0]
    return _one_hot(first, group.n) * group.ok[:, :, None]


def _order_flips(group: Group) -> tuple[Floats, Floats]:
    """[I, 1] pairs of orders with different winners, and with two winners."""
    shown = _in_order(group)
    totals = np.einsum("ikr,ikn->irn", shown, group.scores)
    won = _one_hot(_winners(totals, shown.sum(axis=1) > 0), group.n).sum(axis=1)
    return _differing(won), _pairs(won.sum(axis=1))


def _pairs(counts: NDArray[Any]) -> Floats:
    """[I, 1] pairs among that many."""
    return (counts * (counts - 1) / 2)[:, None].astype(np.float64)


def _differing(won: NDArray[Any]) -> Floats:
    """[I, 1] pairs that differ, where `won` [I, n] counts who won how often."""
    return _pairs(won.sum(axis=1)) - (won * (won - 1) / 2).sum(axis=1, keepdims=True)


class _Flips(NamedTuple):
    """[I, 1] each: pairs of samples that differ, and all of them, in different orders and in the same one."""

    across: Floats
    across_pairs: Floats
    within: Floats
    within_pairs: Floats


def _flips(group: Group) -> _Flips:
    winners = _winners(group.scores, group.ok)
    won = np.einsum("ikr,ikw->irw", _in_order(group), _one_hot(winners, group.n))
    within = sum((_differing(won[:, at]) for at in range(group.n)), np.zeros((len(won), 1)))
    within_pairs = sum((_pairs(won[:, at].sum(axis=1)) for at in range(group.n)), np.zeros((len(won), 1)))
    every, every_pairs = _differing(won.sum(axis=1)), _pairs(won.sum(axis=(1, 2)))
    return _Flips(every - within, every_pairs - within_pairs, within, within_pairs)


def _sample_flips(groups: list[Group], **how: Any) -> dict[str, Any]:
    flips = _Flips(*(np.concatenate(parts) for parts in zip(*map(_flips, groups), strict=True)))
    above, below = np.hstack([flips.across, flips.within]), np.hstack([flips.across_pairs, flips.within_pairs])
    across, within = _figures(above, below, **how)
    drawn = resampled(above, below, **how)
    rates = ratios(above, below)
    excess = _plain("rate", float(rates[0] - rates[1]), *tails(drawn[:, 0] - drawn[:, 1]))
    return {"across": across, "within": within, "excess": excess}


def _by_slot(name: str, above: Floats, below: Floats, **how: Any) -> list[dict[str, Any]]:
    return [{"slot": at, **figure} for at, figure in enumerate(_figures(above, below, name, **how), 1)]


def _figures(above: Floats, below: Floats, name: str = "rate", **how: Any) -> list[dict[str, Any]]:
    """One figure a column, with its interval; None where there is nothing to say."""
    if not len(above):
        return [{name: None, "low": None, "high": None}] * above.shape[1]
    low, high = intervals(above, below, **how)
    return [_plain(name, *map(float, ends)) for ends in zip(ratios(above, below), low, high, strict=True)]


def _plain(name: str, value: float, low: float, high: float) -> dict[str, Any]:
    named = {name: value, "low": low, "high": high}
    return {key: None if np.isnan(number) else number for key, number in named.items()}
