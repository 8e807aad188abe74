"""Learns from stored runs when to stop and how sure to be: stopping thresholds, confidence maps, and their reports.

    fit_thresholds(runs, k_max=32, delta=0.05) -> Thresholds(k_max=32, delta=0.05, levels={2: 11.9}, ...)
    fit_map(raw, correct)                      -> {"kind": "platt", "a": 1.2, "b": -0.3}

Knows scores, votes and labels as numbers; nothing of stores, texts or models. What it learns is plain data, which
`stopping_grm` and `confidence_grm` apply. Every figure that it reports is for items that it did not learn from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from .bootstrap import wilson
from .confidence_grm import calibrated, clipped
from .stopping_grm import Sample, Stopping, Thresholds, best_of, decide, margin_of
from .types_grm import InvalidInput

FEW = 200  # below so many labelled items a map of two numbers is all they can carry
FOLDS = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One item's stored samples in the order drawn: scores in the caller's order, None where a sample failed."""

    n: int
    samples: Sequence[Sample]


def runs_of(scores: np.ndarray) -> list[Run]:
    """An array (items, k, n) as runs; a sample with a NaN in it failed."""
    return [
        Run(scores.shape[2], [None if np.isnan(row).any() else tuple(row.tolist()) for row in item]) for item in scores
    ]


def folds_of(count: int, folds: int = FOLDS, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices to learn from, indices held out), each item held out once."""
    shuffled = np.random.default_rng(seed).permutation(count)
    for fold in range(min(folds, count)):
        out = shuffled[fold::folds]
        yield np.setdiff1d(shuffled, out), out


def _picked(values: Sequence[T], at: Iterable[int]) -> list[T]:
    return [values[int(i)] for i in at]


def worst_level(run: Run, k_max: int, quorum: float = 0.5) -> float:
    """The smallest level from which on this item's early stop never differs from its vote at k_max; 0 if none does.

    Stopping at level x happens at the first look whose margin exceeds x, in units of `sqrt(1 / drawn - 1 / k_max)`; so
    only a look that exceeds all before it can be one. A best is another one also where it is None on one side only.
    """
    final = best_of(run.samples[:k_max], run.n, quorum)
    worst = record = 0.0
    for drawn in range(run.n, k_max, run.n):
        best = best_of(run.samples[:drawn], run.n, quorum)
        margin = margin_of(run.samples[:drawn], run.n) if best is not None else 0.0
        height = margin / math.sqrt(1 / drawn - 1 / k_max)
        if height > record:
            record = height
            worst = height if best != final else worst
    return worst


def conformal_level(worst: Sequence[float], delta: float) -> float | None:
    """The smallest level with (flips + 1) / (items + 1) <= delta; None where even no flip is too much.

    Conformal risk control (Angelopoulos et al., arXiv 2208.02814, Theorem 1) with the loss "some level from here up
    stops this item on another best", which falls as the level rises: m/(m+1) * risk + 1/(m+1) <= delta.
    """
    allowed = math.floor(delta * (len(worst) + 1) + 1e-9) - 1
    if allowed < 0:
        return None
    level = sorted(worst, reverse=True)[allowed] if allowed < len(worst) else 0.0
    return level * (1 + 1e-9)  # so that an item at the level itself is not stopped by a rounding


def fit_thresholds(
    runs: Sequence[Run], *, k_max: int, delta: float, low: float = 1, high: float = 10, quorum: float = 0.5
) -> Thresholds:
    """Thresholds such that P(best at the stop != best at k_max) <= delta for a new item of the same kind.

    The promise is on average over items, and over what they are calibrated on, for items that could be exchanged with
    those here; by number of responses, so that it holds for each. A tie at k_max counts as a best of its own: to stop
    on a winner is a whole flip. (With ties broken at random, as in the paper, it would be 1 - 1/m of one in an m-way
    tie, so the promise holds for that too.)

    Args:
        runs: items with at least k_max stored samples each; the first k_max count.
        k_max, delta, low, high, quorum: the settings that the thresholds are for.

    Raises:
        InvalidInput: no runs, or one with fewer samples.
    """
    short = [len(run.samples) for run in runs if len(run.samples) < k_max]
    if not runs or short:
        raise InvalidInput(
            f"runs: {len(runs)} given, {len(short)} of them with fewer than k_max = {k_max} samples; "
            "store whole runs, or calibrate a smaller k_max"
        )
    worst: dict[int, list[float]] = {}
    for run in runs:
        if run.n > 1:
            worst.setdefault(run.n, []).append(worst_level(run, k_max, quorum))
    levels = {n: conformal_level(found, delta) for n, found in sorted(worst.items())}
    counts = {n: len(found) for n, found in sorted(worst.items())}
    return Thresholds(k_max, delta, levels, counts, low, high, quorum)


def stopped(run: Run, rule: Stopping) -> tuple[int, str]:
    """(samples used, reason) of one stored run, asked after every whole block as the pipeline does."""
    for drawn in [*range(run.n, rule.k_max, run.n), rule.k_max]:
        reason = decide(run.samples[:drawn], run.n, rule)
        if reason is not None:
            return drawn, reason
    raise AssertionError("decide stops at k_max")


def stopping_report(runs: Sequence[Run], rules: Sequence[Stopping]) -> dict[str, Any]:
    """What adaptive voting would have done on stored runs, each under its own rule.

    Returns:
        `items`; `flips`, `flip_rate` and its `ci95`: best at the stop against best at k_max; `samples`: mean used;
        `share`: of k_max; `reasons`: how many items stopped for which.
    """
    flips, used, reasons = 0, 0, Counter[str]()
    for run, rule in zip(runs, rules, strict=True):
        drawn, reason = stopped(run, rule)
        ends = [best_of(run.samples[:at], run.n, rule.quorum) for at in (drawn, rule.k_max)]
        flips, used = flips + (ends[0] != ends[1]), used + drawn
        reasons[reason] += 1
    whole = sum(rule.k_max for rule in rules)
    return {
        "items": len(runs),
        "flips": flips,
        "flip_rate": flips / max(1, len(runs)),
        "ci95": list(wilson(flips / max(1, len(runs)), len(runs))),
        "samples": used / max(1, len(runs)),
        "share": used / max(1, whole),
        "reasons": dict(reasons),
    }


def cross_fitted_stopping(runs: Sequence[Run], rule: Stopping, folds: int = FOLDS, seed: int = 0) -> dict[str, Any]:
    """`stopping_report` of "calibrated" stopping with these settings, each item under thresholds fitted on others."""
    settings = {name: getattr(rule, name) for name in ("k_max", "delta", "low", "high", "quorum")}
    held: list[Run] = []
    rules: list[Stopping] = []
    for learn, out in folds_of(len(runs), folds, seed):
        fitted = fit_thresholds(_picked(runs, learn), **settings)
        held += _picked(runs, out)
        rules += [replace(rule, rule="calibrated", thresholds=fitted)] * len(out)
    return stopping_report(held, rules)


def _labelled(raw: Sequence[float], correct: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(raw, dtype=float), np.asarray(correct, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not len(x) or not np.isfinite(x).all() or ((y < 0) | (y > 1)).any():
        raise InvalidInput(
            f"raw, correct: {x.shape} numbers and {y.shape} labels are not usable; give one label in 0..1 for each"
        )
    return x, y


def pav(values: Sequence[float], weights: Sequence[float]) -> list[tuple[float, int]]:
    """Pool adjacent violators: the nearest rising sequence in weighted squares, as (value, how many it covers).

    Ayer et al., "An empirical distribution function for sampling with incomplete information" (1955).
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            left = pools.pop()
            both = left[1] + pool[1]
            pool = ((left[0] * left[1] + pool[0] * pool[1]) / both, both, left[2] + pool[2])
        pools.append(pool)
    return [(value, count) for value, _, count in pools]


def fit_isotonic(raw: Sequence[float], correct: Sequence[float]) -> dict[str, Any]:
    """Isotonic regression (Zadrozny and Elkan 2002) as knots: flat over each pool, straight lines between pools.

    No value is nearer to 0 or 1 than 1 / (items + 2), Laplace's rule of succession for as many items all alike.
    """
    x, y = _labelled(raw, correct)
    levels, group, counts = np.unique(x, return_inverse=True, return_counts=True)
    pools = pav((np.bincount(group, weights=y) / counts).tolist(), counts.tolist())
    edge = 1 / (len(x) + 2)
    knots: dict[float, float] = {}
    start = 0
    for value, count in pools:
        ends = (float(levels[start]), float(levels[start + count - 1]))
        knots.update(dict.fromkeys(ends, min(1 - edge, max(edge, value))))
        start += count
    return {"kind": "isotonic", "x": list(knots), "y": list(knots.values())}


def _logit(probability: np.ndarray) -> np.ndarray:
    kept = np.array([clipped(float(p)) for p in probability])
    return np.log(kept / (1 - kept))


def _newton(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Logistic regression of y on x with an intercept; a tiny ridge keeps the step defined where x does not vary."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    theta = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -500, 500)))
        gradient = design.T @ (y - p) - 1e-6 * theta
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        theta += step * min(1.0, 5 / float(np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def fit_platt(raw: Sequence[float], correct: Sequence[float]) -> dict[str, Any]:
    """Platt's map on the logit of `raw`, with his smoothed targets (Platt 1999); never falling as `raw` rises."""
    x, y = _labelled(raw, correct)
    right = float(y.sum())
    hit, miss = (right + 1) / (right + 2), 1 / (len(y) - right + 2)
    targets = y * hit + (1 - y) * miss
    a, b = _newton(_logit(x), targets)
    if a < 0:
        rate = float(targets.mean())
        a, b = 0.0, math.log(rate / (1 - rate))
    return {"kind": "platt", "a": a, "b": b}


_FITS = {"platt": fit_platt, "isotonic": fit_isotonic}


def log_loss(probabilities: Sequence[float], correct: Sequence[float]) -> float:
    """Mean negative log likelihood, in nats."""
    p = np.array([clipped(value) for value in probabilities])
    y = np.asarray(correct, dtype=float)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def cross_fitted_probabilities(raw: Sequence[float], correct: Sequence[float], kind: str, seed: int = 0) -> list[float]:
    """Each item's probability under a map of that kind learned from other items."""
    probabilities = [0.0] * len(raw)
    for learn, out in folds_of(len(raw), seed=seed):
        mapping = _FITS[kind](_picked(raw, learn), _picked(correct, learn))
        for at in out:
            probabilities[at] = calibrated(raw[at], mapping)
    return probabilities


def fit_map(raw: Sequence[float], correct: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """The map from raw confidence to the probability of being right, for `config.json["grm"]`.

    Platt's below `FEW` items; above, the kind with the lower log loss on items held out.

    Args:
        raw: `confidence_grm.raw_confidence` of items with a single best.
        correct: 1 where that best is the labelled one, 0 where it is not.
        seed: of the held-out parts.

    Raises:
        InvalidInput: no items, or numbers and labels that do not fit one another.
    """
    _labelled(raw, correct)
    if len(raw) < FEW:
        return fit_platt(raw, correct)
    losses = {kind: log_loss(cross_fitted_probabilities(raw, correct, kind, seed), correct) for kind in _FITS}
    return _FITS[min(losses, key=lambda kind: losses[kind])](raw, correct)


def ece(probabilities: Sequence[float], correct: Sequence[float], bins: int = 10) -> float:
    """Expected calibration error with bins of equal mass (Nguyen and O'Connor 2015): mean |confidence - accuracy|.

    Equal probabilities share one accuracy before they are put in bins, so that their order does not matter. Even a
    perfect map has an error of about 0.3 / sqrt(items in a bin): compare with that, not with 0.
    """
    p, y = _labelled(probabilities, correct)
    order = np.argsort(p, kind="stable")
    p, y = p[order], _tied_means(p[order], y[order])
    parts = zip(np.array_split(p, min(bins, len(p))), np.array_split(y, min(bins, len(p))), strict=True)
    return float(sum(abs(p_.sum() - y_.sum()) for p_, y_ in parts) / len(p))


def _tied_means(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each value replaced by the mean of those with the same key."""
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return (np.bincount(group, weights=values) / counts)[group]


def risk_coverage(confidence: Sequence[float | None], correct: Sequence[float]) -> dict[str, Any]:
    """Error rate among the most confident items, for every share of items answered (El-Yaniv and Wiener 2010).

    Args:
        confidence: an item's probability or raw confidence; None where there is none (abstained, a tie): such items
            are never answered, and coverage stays below 1.
        correct: 1 right, 0 wrong.

    Returns:
        `threshold`, `coverage`, `risk`: one entry for each distinct confidence, from the highest down; `aurc`: the
        area under the curve, as the mean risk over the numbers of items answered (Geifman, Uziel and El-Yaniv 2019,
        equal confidences in random order); `items`, `answered`.
    """
    kept = [(c, y) for c, y in zip(confidence, correct, strict=True) if c is not None]
    report: dict[str, Any] = {"items": len(correct), "answered": len(kept), "aurc": None}
    if not kept:
        return {**report, "threshold": [], "coverage": [], "risk": []}
    keys, y = _labelled(*zip(*kept, strict=True))
    order = np.argsort(-keys, kind="stable")
    keys = keys[order]
    risks = np.cumsum(1 - _tied_means(keys, y[order])) / np.arange(1, len(keys) + 1)
    last = np.append(np.nonzero(np.diff(keys))[0], len(keys) - 1)
    return {
        **report,
        "aurc": float(risks.mean()),
        "threshold": keys[last].tolist(),
        "coverage": ((last + 1) / len(correct)).tolist(),
        "risk": risks[last].tolist(),
    }


def threshold_for_risk(
    confidence: Sequence[float | None], correct: Sequence[float], risk: float
) -> dict[str, Any] | None:
    """The lowest `--min-confidence` that keeps the error rate of answered items at `risk` or below, on these items.

    An estimate, not a promise: `ci95` says what the error rate at this threshold may be. None where no threshold does.
    """
    curve = risk_coverage(confidence, correct)
    fit = [at for at, found in enumerate(curve["risk"]) if found <= risk]
    if not fit:
        return None
    picked = {name: curve[name][fit[-1]] for name in ("threshold", "coverage", "risk")}
    return {**picked, "ci95": list(wilson(picked["risk"], round(picked["coverage"] * curve["items"])))}


def confidence_report(raw: Sequence[float | None], correct: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """How good the calibrated confidence is on items that it was not learned from.

    Args:
        raw: raw confidence, None where there is no best.
        correct: 1 where the best is the labelled one, 0 else.

    Returns:
        `kind` of the map; `ece` and `log_loss` of held-out probabilities, `ece_raw` before calibration; and what
        `risk_coverage` gives.
    """
    answered = [at for at, value in enumerate(raw) if value is not None]
    x, y = [float(raw[at] or 0.0) for at in answered], _picked(correct, answered)
    kind = fit_map(x, y, seed)["kind"]
    probabilities: list[float | None] = [None] * len(raw)
    held = cross_fitted_probabilities(x, y, kind, seed)
    for at, probability in zip(answered, held, strict=True):
        probabilities[at] = probability
    figures = {"kind": kind, "ece": ece(held, y), "ece_raw": ece(x, y), "log_loss": log_loss(held, y)}
    return {**figures, **risk_coverage(probabilities, correct)}
