"""Two judges on the same items, item by item: the difference of their accuracy, with a paired interval.

    comparison(load_runs(rows_a), load_runs(rows_b), ks=[1, 8])["points"][1]
    -> {"rule": "sum", "k": 8, "items": 400, "a": 0.81, "b": 0.84, "difference": 0.03, "low": -0.01, "high": 0.07, ...}

An item is known by its content. What is compared is its credit, as `revote` gives it: the mean over subsets of k of its
samples, a tie of m counting 1/m and no answer 0. Both judges are resampled over the same items, so that what makes an
item hard for both falls out of the difference. Knows nothing about files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from .bootstrap import differences, ratios
from .revoting import item_credits
from .runs import Runs
from .types_grm import InvalidInput

Credits = Mapping[str, float]
"""Item's hash -> its credit, 0..1."""

EQUAL = 1e-9  # credits nearer than that are equal
ALL = "all"


def credit(scores: Sequence[float] | None, best: int) -> float:
    """1 where `best` has the highest score alone, 1/m in an m-way tie at the top, 0 else or without scores."""
    if scores is None:
        return 0.0
    top = [place for place, score in enumerate(scores) if score == max(scores)]
    return 1 / len(top) if best in top else 0.0


def paired(a: Credits, b: Credits, items: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Two judges' accuracy on the same items, and their difference B - A.

    Args:
        a, b: credits.
        items: which to look at; both have them.
        resamples, seed: of the bootstrap, which draws items and keeps pairs together.

    Returns:
        `difference` with its 95% interval; `a_better`, `b_better` and `equal` count items; `p` is the exact two-sided
        sign test over those that differ (McNemar's exact test where credits are 0 and 1).
    """
    both = np.array([[a[item], b[item]] for item in items])
    means = ratios(both, np.ones_like(both))
    _, (difference, low, high) = differences(both, 0, resamples=resamples, seed=seed)
    gaps = both[:, 1] - both[:, 0]
    worse, better = int((gaps < -EQUAL).sum()), int((gaps > EQUAL).sum())
    return {
        "items": len(items),
        "a": float(means[0]),
        "b": float(means[1]),
        "difference": difference,
        "low": low,
        "high": high,
        "a_better": worse,
        "b_better": better,
        "equal": len(items) - worse - better,
        "p": sign_test(worse, better),
    }


def sign_test(a: int, b: int) -> float:
    """Exact two-sided sign test: how likely a split at least as uneven is between equals; 1 where none differ."""
    tail = sum(comb(a + b, count) for count in range(min(a, b) + 1)) / 2 ** (a + b)
    return min(1.0, 2 * tail)


def comparison(
    a: Runs,
    b: Runs,
    ks: Sequence[int],
    rules: Sequence[str] = ("sum",),
    *,
    parts: Mapping[str, str] | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Every rule at every k on the items that both have, and each part of them under the first rule at the largest k.

    Args:
        a, b: stored samples.
        ks, rules: as in `revote`.
        parts: item's hash -> the part (a benchmark's subset) that it belongs to.
        how: `ties`, `quorum`, `seed` as in `revote`.

    Raises:
        InvalidInput: no labelled item is in both, or as `revote`.
    """
    mine, theirs = ({item for group in runs.labelled for item in group.items} for runs in (a, b))
    shared = sorted(mine & theirs)
    if not shared:
        raise InvalidInput(
            f"B: none of its {len(theirs)} labelled items is among the {len(mine)} of A; compare two runs of the same "
            "items (an item is its query and its responses, word for word)"
        )
    points, by_part = [], []
    for rule in rules:
        for k in ks:
            one, other = (item_credits(runs, k, rule, **how) for runs in (a, b))
            points.append({"part": ALL, "rule": rule, "k": k, **paired(one, other, shared)})
            if (rule, k) == (rules[0], max(ks)):
                by_part = _by_part(one, other, shared, parts or {}, {"rule": rule, "k": k})
    return {
        "shared": len(shared),
        "only_a": len(mine - theirs),
        "only_b": len(theirs - mine),
        "points": points,
        "parts": by_part,
    }


def _by_part(
    a: Credits, b: Credits, shared: Sequence[str], parts: Mapping[str, str], point: Mapping[str, Any]
) -> list[dict[str, Any]]:
    members: dict[str, list[str]] = {}
    for item in shared:
        members.setdefault(parts.get(item, "unnamed"), []).append(item)
    if len(members) < 2:
        return []
    return [{"part": name, **point, **paired(a, b, items)} for name, items in sorted(members.items())]
