"""Intervals over items: the percentile bootstrap, and Wilson's where a bootstrap would be a point.

    intervals(numerators, denominators) -> (low [P], high [P])      95% of P ratios of sums over the same items

Items are what was sampled, so they are what is resampled; the samples of an item stay together. All P figures are
resampled together, which keeps them comparable. Knows nothing about votes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAILS = (0.025, 0.975)
Z = 1.959964  # the normal distribution's 97.5% point
CELLS = 2**22  # how many counts are held at once: 32 MB


def ratios(numerators: Floats, denominators: Floats) -> Floats:
    """[P] ratios of the sums over the items of [I, P]; NaN where there is nothing to divide by."""
    return _divided(numerators.sum(axis=0), denominators.sum(axis=0))


def resampled(numerators: Floats, denominators: Floats, *, resamples: int = 1000, seed: int = 0) -> Floats:
    """[resamples, P] the same ratios over items drawn anew, with replacement."""
    counted = _counts(len(numerators), resamples, np.random.default_rng(seed))
    return np.concatenate([_divided(counts @ numerators, counts @ denominators) for counts in counted])


def intervals(
    numerators: Floats, denominators: Floats, *, resamples: int = 1000, seed: int = 0, shares: bool = True
) -> tuple[Floats, Floats]:
    """95% intervals of ratios of sums, by bootstrap over items (Efron and Tibshirani 1993, chapter 13: percentiles).

    Args:
        numerators, denominators: [I, P] each item's part in each of P figures; a mean has denominators of 1.
        resamples: how often the items are drawn anew.
        seed: of the draws.
        shares: the figures are shares in 0..1; where every item says 0, or every item 1, a bootstrap would be a point
            and Wilson's score interval (1927) over the items stands in its place.

    Returns:
        lows and highs, [P] each; NaN where there is nothing to divide by.
    """
    drawn = resampled(numerators, denominators, resamples=resamples, seed=seed)
    ends = np.array([tails(column) for column in drawn.T]).reshape(-1, 2)
    if shares:
        for at in np.flatnonzero(np.isin(ratios(numerators, denominators), (0.0, 1.0))):
            ends[at] = wilson(float(numerators[:, at].sum() > 0), int((denominators[:, at] > 0).sum()))
    return ends[:, 0], ends[:, 1]


def differences(
    values: Floats, base: int | Sequence[int], *, resamples: int = 1000, seed: int = 0
) -> list[tuple[float, float, float]]:
    """(difference, low, high) of each column's mean from that of its base column, over the same items.

    Args:
        values: [I, P] one value an item and column.
        base: one column for all, or one for each.
        resamples, seed: of the bootstrap, which draws items and keeps their values together.
    """
    ones = np.ones_like(values)
    means = ratios(values, ones)
    drawn = resampled(values, ones, resamples=resamples, seed=seed)
    at = np.broadcast_to(base, means.shape)
    gaps = zip(means - means[at], (drawn - drawn[:, at]).T, strict=True)
    return [(float(gap), *tails(column)) for gap, column in gaps]


def tails(drawn: Floats) -> tuple[float, float]:
    """The ends of the middle 95% of what was drawn; NaN of nothing (NaNs among it do not count)."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, TAILS) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def wilson(share: float, items: int) -> tuple[float, float]:
    """95% score interval of a share of that many items (Wilson 1927); all of 0..1 where there are none."""
    if not items:
        return 0.0, 1.0
    spread = Z * sqrt(share * (1 - share) / items + Z**2 / (4 * items**2))
    middle, scale = share + Z**2 / (2 * items), 1 + Z**2 / items
    return min(share, (middle - spread) / scale), max(share, (middle + spread) / scale)


def _counts(items: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each item is drawn in each resample, [some resamples, items] at a time."""
    step = max(1, CELLS // items)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picks = rng.integers(0, items, (size, items)) + np.arange(size)[:, None] * items
        yield np.bincount(picks.ravel(), minlength=size * items).reshape(size, items).astype(np.float64)


def _divided(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
