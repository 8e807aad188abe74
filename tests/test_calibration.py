"""Thresholds and maps learned from stored runs keep what they promise on items that they were not learned from."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from benchmarks.stopping_simulation import SCORES, Fitted, Item, concentration, read_items, real_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_grm.calibration import (
    FEW,
    Run,
    confidence_report,
    conformal_level,
    cross_fitted_probabilities,
    cross_fitted_stopping,
    ece,
    fit_isotonic,
    fit_map,
    fit_platt,
    fit_thresholds,
    folds_of,
    log_loss,
    pav,
    risk_coverage,
    runs_of,
    stopping_report,
    threshold_for_risk,
    worst_level,
)
from modeling_grm.confidence_grm import calibrated, raw_confidence
from modeling_grm.stopping_grm import Stopping, Thresholds, best_of
from modeling_grm.types_grm import InvalidInput

CALM = settings(deadline=None)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Scores of a judge on the contrast set (tests/data/README.md)."""
    return read_items()


# --------------------------------------------------------------------------- thresholds

samples = st.lists(st.none() | st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=8, max_size=8)
runs = st.lists(samples.map(lambda found: Run(2, found)), min_size=1, max_size=12)


@given(runs, st.floats(0, 30))
@CALM
def test_from_its_worst_level_on_an_item_does_not_flip(found: list[Run], more: float) -> None:
    """The loss that is controlled is the real one made monotone: checked against the rule as it runs."""
    for run in found:
        level = worst_level(run, 8) * (1 + 1e-9) + more
        rule = Stopping("calibrated", k_max=8, delta=0.5, thresholds=Thresholds(8, 0.5, {2: level}, {2: 1}))
        assert stopping_report([run], [rule])["flips"] == 0


@given(runs, st.sampled_from([0.05, 0.1, 0.3]))
@CALM
def test_flips_on_the_items_themselves_are_within_the_bound(found: list[Run], delta: float) -> None:
    """The inequality of conformal risk control, on the calibration items."""
    rule = Stopping("calibrated", k_max=8, delta=delta, thresholds=fit_thresholds(found, k_max=8, delta=delta))
    report = stopping_report(found, [rule] * len(found))
    assert report["flips"] == 0 or report["flips"] + 1 <= delta * (len(found) + 1) + 1e-9


@pytest.mark.parametrize(
    ("delta", "count", "level"),
    [(0.05, 18, None), (0.05, 19, 19.0), (0.05, 39, 38.0), (0.1, 9, 9.0), (0.01, 98, None), (0.9, 9, 1.0)],
)
def test_conformal_level_is_that_order_statistic(delta: float, count: int, level: float | None) -> None:
    found = conformal_level([float(x) for x in range(1, count + 1)], delta)
    assert found == (None if level is None else pytest.approx(level))


def test_a_tie_at_the_end_is_a_best_of_its_own() -> None:
    early = [(6, 5), (5, 5), (5, 6), (5, 5)]
    assert worst_level(Run(2, early), 4) > 0
    assert worst_level(Run(2, [(9, 1)] * 4), 4) == 0


def test_a_wrong_best_that_no_level_stops_on_does_not_count() -> None:
    """Wrong after 6 samples, by less than the right best was ahead after 2: whoever passes the 2 passes the 6."""
    samples = [(10, 1)] * 2 + [(1, 10)] * 4 + [(10, 1)] * 6
    assert worst_level(Run(2, samples), 12) == 0
    assert worst_level(Run(2, [(1, 10)] * 2 + [(10, 1)] * 10), 12) == pytest.approx(9 / math.sqrt(1 / 2 - 1 / 12))


def test_an_end_below_the_quorum_is_a_best_of_its_own() -> None:
    assert worst_level(Run(2, [(9, 1), (9, 1), None, None, None, None]), 6) > 0


def test_levels_are_by_number_of_responses() -> None:
    pairs = [Run(2, [(9, 1)] * 8)] * 19
    fitted = fit_thresholds([*pairs, *[Run(4, [(9, 1, 1, 1)] * 8)] * 5, Run(1, [(9,)] * 8)], k_max=8, delta=0.05)
    assert fitted.levels == {2: 0.0, 4: None}
    assert fitted.items == {2: 19, 4: 5}


@pytest.mark.parametrize("bad", [[], [Run(2, [(9, 1)] * 7)]])
def test_short_runs_are_refused(bad: list[Run]) -> None:
    with pytest.raises(InvalidInput, match=r"runs: .*k_max = 8"):
        fit_thresholds(bad, k_max=8, delta=0.05)


def test_arrays_become_runs() -> None:
    scores = np.array([[[9.0, 1.0], [np.nan, np.nan]]])
    assert runs_of(scores) == [Run(2, [(9.0, 1.0), None])]


def test_held_out_flips_are_below_delta_for_any_judge() -> None:
    """Repeated draws of items whose samples contradict themselves: the flip rate of new items, on average."""
    random, flips, held = Random(1), 0, 0
    for _ in range(30):
        found = []
        for _ in range(60):
            p = random.random()
            samples = [(9, 3) if random.random() < p else (3, 9) for _ in range(12)]
            found.append(Run(2, samples))
        fitted = fit_thresholds(found[:40], k_max=12, delta=0.1)
        rule = Stopping("calibrated", k_max=12, delta=0.1, thresholds=fitted)
        report = stopping_report(found[40:], [rule] * 20)
        flips, held = flips + report["flips"], held + 20
    assert flips / held <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / held)
    assert flips > 0, "a rule that never errs saves less than it may"


def test_real_scores_half_the_samples_at_five_percent(items: list[Item]) -> None:
    """The issue's numbers, on judges fitted to real samples where fewer than 32 are stored."""
    found, _, _ = real_runs(items, 32, seed=1)
    report = cross_fitted_stopping(found, Stopping(k_max=32, delta=0.05), folds=5)
    assert report["items"] >= 300
    assert report["flip_rate"] <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / report["items"])
    assert report["share"] <= 0.5


def test_the_fitted_judge_is_as_varied_as_the_real_one(items: list[Item]) -> None:
    fitted, random = Fitted(items[:60]), Random(0)
    drawn = [set(fitted.judge(at, random).run(8, random)) for at in range(len(fitted.items))]
    real = [set(item.samples[:8]) for item in fitted.items]
    assert np.mean([len(s) for s in drawn]) == pytest.approx(np.mean([len(s) for s in real]), rel=0.2)


def test_concentration_counts_distinct_samples() -> None:
    assert concentration([[(1, 1)] * 4] * 10) < 1e-5
    assert concentration([[(at, 1) for at in range(4)]] * 10) > 1e5


def test_the_scores_are_small_and_without_texts(items: list[Item]) -> None:
    assert SCORES.stat().st_size < 200_000
    assert len(items) >= 300


# --------------------------------------------------------------------------- maps

unit = st.floats(0, 1)
labelled = st.lists(st.tuples(unit, st.integers(0, 1)), min_size=1, max_size=60)


@given(st.lists(st.tuples(unit, st.floats(0.1, 5)), min_size=1, max_size=40))
@CALM
def test_pav_rises_keeps_the_mean_and_stays_in_range(pairs: list[tuple[float, float]]) -> None:
    values, weights = [v for v, _ in pairs], [w for _, w in pairs]
    pools = pav(values, weights)
    whole = [value for value, count in pools for _ in range(count)]
    assert len(whole) == len(values)
    assert whole == sorted(whole)
    assert min(values) - 1e-9 <= min(whole) <= max(whole) <= max(values) + 1e-9
    assert np.dot(whole, weights) == pytest.approx(np.dot(values, weights))


def test_pav_is_the_nearest_rising_sequence() -> None:
    assert pav([1, 3, 2, 4], [1, 1, 1, 1]) == [(1, 1), (2.5, 2), (4, 1)]
    assert pav([3, 1], [1, 3]) == [(1.5, 2)]


@given(labelled, st.sampled_from([fit_isotonic, fit_platt]))
@CALM
def test_maps_rise_and_stay_inside(pairs: list[tuple[float, int]], fit: Any) -> None:
    mapping = fit([x for x, _ in pairs], [y for _, y in pairs])
    found = [calibrated(x, mapping) for x in np.linspace(0, 1, 41)]
    assert all(0 < p < 1 for p in found)
    assert all(b >= a - 1e-9 for a, b in pairwise(found))


@given(labelled)
@CALM
def test_isotonic_knots_rise(pairs: list[tuple[float, int]]) -> None:
    mapping = fit_isotonic([x for x, _ in pairs], [y for _, y in pairs])
    assert all(b > a for a, b in pairwise(mapping["x"]))
    assert all(b >= a for a, b in pairwise(mapping["y"]))


def judged(count: int, seed: int = 0, power: float = 1.0) -> tuple[list[float], list[float]]:
    """Raw confidences and labels, right with probability raw ** power."""
    random = np.random.default_rng(seed)
    raw = random.uniform(0.5, 1, count)
    return raw.tolist(), (random.uniform(size=count) < raw**power).astype(float).tolist()


def test_platt_finds_its_own_model() -> None:
    random = np.random.default_rng(0)
    raw = random.uniform(0.05, 0.95, 20_000)
    right = random.uniform(size=len(raw)) < 1 / (1 + np.exp(-(0.7 * np.log(raw / (1 - raw)) - 0.4)))
    mapping = fit_platt(raw.tolist(), right.astype(float).tolist())
    assert (mapping["a"], mapping["b"]) == (pytest.approx(0.7, abs=0.05), pytest.approx(-0.4, abs=0.05))


def test_a_map_does_not_turn_confidence_round() -> None:
    assert fit_platt([0.1, 0.9], [1, 0])["a"] == 0


def test_few_items_get_platt_and_many_the_better_kind() -> None:
    raw, correct = judged(FEW - 1)
    assert fit_map(raw, correct)["kind"] == "platt"
    steps = np.repeat([0.55, 0.7, 0.85, 0.95], 500)
    rates = np.repeat([0.2, 0.9, 0.91, 0.92], 500)
    right = (np.random.default_rng(0).uniform(size=2000) < rates).astype(float)
    assert fit_map(steps.tolist(), right.tolist())["kind"] == "isotonic"


@pytest.mark.parametrize("fit", [fit_map, fit_isotonic, fit_platt])
@pytest.mark.parametrize(("raw", "correct"), [([], []), ([0.5], [1, 0]), ([math.nan], [1]), ([0.5], [2])])
def test_unusable_labels_are_refused(fit: Any, raw: list[float], correct: list[float]) -> None:
    with pytest.raises(InvalidInput, match="raw, correct: "):
        fit(raw, correct)


# --------------------------------------------------------------------------- reports


def test_ece_of_a_perfect_judge_is_near_zero_and_of_a_boaster_is_not() -> None:
    assert ece(*judged(50_000)) < 0.01
    assert ece(*judged(50_000, power=4.0)) > 0.2
    assert ece([1.0, 1.0, 0.0], [1, 1, 0]) == 0
    assert ece([0.75] * 4, [1, 1, 0, 0], bins=2) == pytest.approx(0.25)


def test_calibration_mends_a_boaster_on_new_items() -> None:
    raw, correct = judged(3000, power=4.0)
    for kind in ("platt", "isotonic"):
        held = cross_fitted_probabilities(raw, correct, kind)
        assert ece(held, correct) < 0.05
        assert log_loss(held, correct) < log_loss(raw, correct)


@given(labelled, st.randoms(use_true_random=False))
@CALM
def test_figures_do_not_depend_on_the_order_of_items(pairs: list[tuple[float, int]], random: Random) -> None:
    turned = random.sample(pairs, len(pairs))
    for figure in (ece, lambda x, y: risk_coverage(x, y)["aurc"]):
        a, b = (figure([x for x, _ in found], [y for _, y in found]) for found in (pairs, turned))
        assert a == pytest.approx(b)
        assert 0 <= a <= 1


def test_risk_coverage_by_hand() -> None:
    report = risk_coverage([0.9, 0.8, 0.8, 0.6, None], [1, 1, 0, 0, 0])
    assert report["threshold"] == [0.9, 0.8, 0.6]
    assert report["coverage"] == [0.2, 0.6, 0.8]
    assert report["risk"] == pytest.approx([0, 1 / 3, 1 / 2])
    assert report["aurc"] == pytest.approx((0 + 1 / 4 + 1 / 3 + 1 / 2) / 4)
    assert risk_coverage([None], [1])["aurc"] is None


def test_threshold_for_a_wanted_risk() -> None:
    confidence, correct = [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0]
    found = threshold_for_risk(confidence, correct, 0.0)
    assert found is not None
    assert (found["threshold"], found["coverage"]) == (0.7, 0.75)
    assert found["ci95"][1] > 0.3, "three right answers prove little"
    assert threshold_for_risk([0.9], [0], 0.1) is None


def test_every_item_is_held_out_once() -> None:
    held = [at for _, out in folds_of(23, 5) for at in out]
    assert sorted(held) == list(range(23))
    assert all(not set(learn) & set(out) for learn, out in folds_of(23, 5))


def test_report_on_real_scores(items: list[Item]) -> None:
    """A real judge: confidence is worth something, and says so on items held out."""
    voted = [(item, best_of(item.samples, item.n)) for item in items]
    raw = [raw_confidence([s for s in item.samples if s], best) for item, best in voted]
    correct = [float(best == item.best) for item, best in voted]
    report = confidence_report(raw, correct)
    assert report["ece"] < 0.08
    assert report["aurc"] < 0.5 * (1 - np.mean(correct)) + 0.02
    assert report["answered"] == sum(value is not None for value in raw)
