"""bootstrap.py: intervals that cover, that repeat, and that never claim certainty."""

from __future__ import annotations

import numpy as np
import pytest

from modeling_grm import bootstrap
from modeling_grm.bootstrap import intervals, ratios, wilson


def test_a_mean_has_the_usual_interval() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, (400, 1))
    low, high = intervals(values, np.ones_like(values), resamples=4000)
    spread = 1.96 * values.std() / 20
    assert (low[0], high[0]) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.002)


def test_the_interval_covers() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random((200, 300)) < 0.7).astype(np.float64)  # 300 studies of 200 items
    low, high = intervals(right, np.ones_like(right))
    assert 0.91 < ((low <= 0.7) & (high >= 0.7)).mean() < 0.98


def test_a_ratio_weighs_items_by_their_denominators() -> None:
    above, below = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [3.0, 0.0]])
    assert ratios(above, below)[0] == 0.25
    assert np.isnan(ratios(above, below)[1])
    low, high = intervals(above, below)
    assert (low[0], high[0]) == (0.0, 1.0)
    assert np.isnan(low[1])
    assert np.isnan(high[1])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_perfect_score_is_no_point(share: float) -> None:
    values = np.full((20, 1), share)
    low, high = intervals(values, np.ones_like(values))
    assert (low[0], high[0]) == wilson(share, 20)
    assert high[0] - low[0] == pytest.approx(0.161, abs=0.001)
    assert low[0] <= share <= high[0]
    effect, _ = intervals(values, np.ones_like(values), shares=False)
    assert effect[0] == share, "an effect that is the same everywhere is no share"


def test_wilson_interval() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
    assert wilson(1.0, 100) == pytest.approx((0.963, 1.0), abs=1e-3)


def test_large_stores_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((50, 2))
    whole = intervals(values, np.ones_like(values), seed=3)
    monkeypatch.setattr(bootstrap, "CELLS", 700)
    parts = intervals(values, np.ones_like(values), seed=3)
    np.testing.assert_allclose(whole, parts)
