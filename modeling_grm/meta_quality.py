"""How good a meta RM's ratings are: AUC, accuracy and calibration error, with intervals over items.

    quality(logits, correct, items) -> {"auc": {"value": 0.83, "low": 0.79, "high": 0.86}, "accuracy": ..., "ece": ...}

The samples of an item stay together when items are drawn anew: they share its difficulty. Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import tails
from .calibration import ece

Floats = NDArray[np.float64]
TEMPERATURES = np.geomspace(0.05, 20, 241)


def strictly_correct(scores: Sequence[int], labels: Sequence[float] | None, best: int | None) -> bool | None:
    """Whether one judgement is correct (arXiv 2504.02495, Eq 10); None where nobody labelled the item so.

    Two and more responses: the labelled best has the highest score alone, so a tie is wrong. One response: the score
    is the label itself.
    """
    if len(scores) == 1:
        return None if labels is None else scores[0] == labels[0]
    if best is None and labels is not None and list(labels).count(max(labels)) == 1:
        best = list(labels).index(max(labels))
    if best is None:
        return None
    return all(scores[best] > score for at, score in enumerate(scores) if at != best)


def auc(logits: Floats, correct: Floats) -> float:
    """Probability that a correct judgement is rated above a wrong one, ties half (Mann and Whitney 1947); NaN without
    both kinds."""
    right = int(correct.sum())
    wrong = len(correct) - right
    if not right or not wrong:
        return float("nan")
    _, at, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    return float((ranks[correct > 0].sum() - right * (right + 1) / 2) / (right * wrong))


def within_item_auc(logits: Floats, correct: Floats, items: Sequence[str]) -> float:
    """AUC over pairs of samples of the same item: what guided voting can use, as an item's difficulty falls out."""
    above = pairs = 0.0
    for name in dict.fromkeys(items):
        mine = np.array([item == name for item in items])
        right, wrong = logits[mine & (correct > 0)], logits[mine & (correct == 0)]
        gaps = right[:, None] - wrong[None, :]
        above += float((gaps > 0).sum() + (gaps == 0).sum() / 2)
        pairs += gaps.size
    return above / pairs if pairs else float("nan")


def _sigmoid(logits: Floats) -> Floats:
    odds = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + odds), odds / (1 + odds))


def cross_entropy(logits: Floats, correct: Floats) -> float:
    """Mean binary cross-entropy of logits, in nats."""
    return float(np.mean(np.logaddexp(0, logits) - correct * logits))


def fit_temperature(logits: Sequence[float], correct: Sequence[bool]) -> float:
    """The temperature that makes the logits' cross-entropy least (Guo et al. 2017); 1 without both kinds."""
    x, y = np.asarray(logits, float), np.asarray(correct, float)
    if len(set(y.tolist())) < 2:
        return 1.0
    return round(float(min(TEMPERATURES, key=lambda t: cross_entropy(x / t, y))), 4)


def _figures(logits: Floats, correct: Floats) -> dict[str, Callable[[], float]]:
    return {
        "auc": lambda: auc(logits, correct),
        "accuracy": lambda: float(np.mean((logits > 0) == (correct > 0))),
        "ece": lambda: ece(_sigmoid(logits).tolist(), correct.tolist()),
    }


def quality(
    logits: Sequence[float], correct: Sequence[bool], items: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """AUC, accuracy and ECE (10 bins) of ratings, each with a 95% interval by bootstrap over items.

    Args:
        logits: one a sample.
        correct: whether that sample is correct (`strictly_correct`).
        items: which item it belongs to.
        resamples, seed: of the bootstrap.

    Returns:
        Plain JSON types; a figure that cannot be told is None. `share_correct` is what an empty guess would reach.
    """
    x, y = np.asarray(logits, float), np.asarray(correct, float)
    names = list(dict.fromkeys(items))
    places: dict[str, list[int]] = {name: [] for name in names}
    for at, item in enumerate(items):
        places[item].append(at)
    clusters = [np.array(places[name]) for name in names]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in _figures(x, y)}
    for _ in range(resamples):
        picked = np.concatenate([clusters[pick] for pick in rng.integers(0, len(clusters), len(clusters))])
        for name, figure in _figures(x[picked], y[picked]).items():
            drawn[name].append(figure())
    found = {name: _interval(figure(), drawn[name]) for name, figure in _figures(x, y).items()}
    within = within_item_auc(x, y, items)
    return {
        "samples": len(x),
        "items": len(names),
        "share_correct": float(y.mean()),
        **found,
        "auc_within_items": None if np.isnan(within) else within,
    }


def _interval(value: float, drawn: Sequence[float]) -> dict[str, float | None]:
    low, high = tails(np.asarray(drawn, float))
    said = {"value": value, "low": low, "high": high}
    return {name: None if np.isnan(number) else round(number, 4) for name, number in said.items()}
