"""revoting.py: a curve's point is what voting on the subsets one by one gives; chance is seeded and even."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import as_critique, stored_item

from modeling_grm import revoting
from modeling_grm.pairing import paired
from modeling_grm.revoting import TIES, item_credits, revote
from modeling_grm.rules_grm import RULES, find_rule
from modeling_grm.runs import load_runs
from modeling_grm.subsets import subsets
from modeling_grm.types_grm import InvalidInput
from modeling_grm.voting_grm import vote

RULE = st.sampled_from(sorted(RULES))
Rows = list[dict[str, Any]]


def store(shapes: list[tuple[int, int]], seed: int = 0, **how: Any) -> Rows:
    """Items of (n, k), each with a labelled best."""
    rng = random.Random(seed)
    items = [(f"item {at}", n, k, rng.randrange(n)) for at, (n, k) in enumerate(shapes)]
    return [row for item, n, k, best in items for row in stored_item(item, n, k, rng, best=best, **how)]


def by_item(rows: Rows) -> list[Rows]:
    items: dict[str, Rows] = {}
    for row in rows:
        items.setdefault(row["item"], []).append(row)
    return list(items.values())


def credit_of(rows: Rows, places: list[int], rule: str, k_meta: int | None, ties: str) -> tuple[float, bool, bool]:
    """Credit, answered, tied: by the public vote on the critiques themselves."""
    result = vote([as_critique(rows[at]) for at in places], rows[0]["n"], rule=rule, k_meta=k_meta)
    if result.scores is None:
        return 0.0, False, False
    highest = [at for at, score in enumerate(result.scores) if score == max(result.scores)]
    if result.best is not None:
        assert highest == [result.best]
    right = rows[0]["best"] in highest
    worth = 1 / len(highest) if ties == "half" else float(len(highest) == 1)
    return right * worth, True, len(highest) > 1


def brute(rows: Rows, k: int, rule: str, k_meta: int | None, ties: str) -> dict[str, float | None]:
    items = []
    for item in by_item(rows):
        places = subsets(k, len(item), item[0]["n"]).tolist()
        found = [credit_of(item, subset, rule, k_meta, ties) for subset in places]
        items.append([sum(part) / len(places) for part in zip(*found, strict=True)])
    credit, answered, tied = (sum(part) for part in zip(*items, strict=True))
    return {
        "accuracy": credit / len(items),
        "answered": credit / answered if answered else None,
        "coverage": answered / len(items),
        "tie_rate": tied / answered if answered else None,
    }


def has_voters(rows: Rows, rule: str) -> bool:
    return any(vote([as_critique(row)], row["n"], rule=rule, k_meta=1).voters for row in rows)


SHAPES = st.integers(1, 7).flatmap(
    lambda k: st.lists(st.integers(2, 4), min_size=1, max_size=4).map(lambda sizes: [(n, k) for n in sizes])
)


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**32), RULE, st.sampled_from(["half", "wrong"]), st.data())
def test_a_point_is_the_mean_over_all_subsets(
    shapes: list[tuple[int, int]], seed: int, rule: str, ties: str, data: st.DataObject
) -> None:
    rows = store(shapes, seed)
    k = data.draw(st.integers(1, shapes[0][1]))
    k_meta = data.draw(st.none() | st.integers(1, k)) if find_rule(rule).rank else None
    if not has_voters(rows, rule) and has_voters(rows, "sum"):
        return
    (point,) = revote(load_runs(rows), [k], [rule], [k_meta], ties=ties, resamples=2, samples=500)
    assert point["exact"]
    for name, value in brute(rows, k, rule, k_meta, ties).items():
        assert point[name] == (None if value is None else pytest.approx(value)), name


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("ties", ["half", "wrong"])
def test_at_k_stored_the_point_is_the_vote_itself(rule: str, ties: str) -> None:
    rows = store([(2, 32), (3, 32), (2, 32), (4, 32), (5, 32)] * 8)
    (point,) = revote(load_runs(rows), [32], [rule], ties=ties, samples=1)
    found = [credit_of(item, list(range(32)), rule, None, ties) for item in by_item(rows)]
    credit, answered, tied = (sum(part) for part in zip(*found, strict=True))
    assert point["exact"]
    assert (point["accuracy"], point["coverage"]) == (pytest.approx(credit / 40), pytest.approx(answered / 40))
    assert point["tie_rate"] == pytest.approx(tied / answered)
    assert point["tokens"] == pytest.approx(sum(row["completion_tokens"] for row in rows) / 40)
    assert point["items"] == 40


def test_draws_come_close_to_all_subsets() -> None:
    rows = store([(2, 16)] * 60)
    (all_of_them,) = revote(load_runs(rows), [8], samples=100)
    (drawn,) = revote(load_runs(rows), [8], samples=32)
    assert (all_of_them["exact"], drawn["exact"]) == (True, False)
    for name in ("accuracy", "answered", "coverage", "tie_rate"):
        assert drawn[name] == pytest.approx(all_of_them[name], abs=0.02), name
    assert drawn["tokens"] == pytest.approx(all_of_them["tokens"], rel=0.02)


def test_a_random_tie_break_is_worth_half() -> None:
    rows = store([(2, 16)] * 100)
    half, broken = (revote(load_runs(rows), [1, 4], ties=ties, samples=64) for ties in ("half", "random"))
    for expected, found in zip(half, broken, strict=True):
        assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=0.02)
        assert found["accuracy"] != expected["accuracy"]
    wrong = revote(load_runs(rows), [1, 4], ties="wrong")
    assert all(low["accuracy"] < high["accuracy"] for low, high in zip(wrong, half, strict=True))


def test_the_same_seed_gives_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = load_runs(store([(2, 16), (4, 16)] * 20))
    one = revote(runs, [8], ["sum", "majority"], ties="random", samples=8)
    assert one == revote(runs, [8], ["sum", "majority"], ties="random", samples=8)
    assert one != revote(runs, [8], ["sum", "majority"], ties="random", samples=8, seed=1)
    (alone,) = revote(runs, [8], ["sum"], ties="random", samples=8)
    figures = ("accuracy", "low", "high", "answered", "coverage", "tie_rate", "tokens")
    assert [alone[name] for name in figures] == pytest.approx([one[0][name] for name in figures]), "whatever else"
    monkeypatch.setattr(revoting, "CELLS", 2**11)
    points = revote(runs, [8], ["sum"], samples=8)
    assert points[0]["accuracy"] == pytest.approx(one[0]["accuracy"], abs=0.05), "items in many parts"


def test_many_parts_give_the_same_exact_points(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = load_runs(store([(2, 8), (4, 8)] * 20))
    whole = revote(runs, [1, 2, 4, 8], list(RULES))
    monkeypatch.setattr(revoting, "CELLS", 2**11)
    assert revote(runs, [1, 2, 4, 8], list(RULES)) == whole


def test_points_are_plain_and_in_the_curves_order() -> None:
    runs = load_runs(store([(2, 8)] * 10))
    points = revote(runs, [4, 1, 8], ["meta_topk", "sum"], [None, 2, 4])
    assert json.loads(json.dumps(points)) == points
    assert [(point["curve"], point["k"], point["k_meta"]) for point in points] == [
        ("meta_topk", 4, 2), ("meta_topk", 1, 1), ("meta_topk", 8, 4),
        ("meta_topk, k_meta 2", 4, 2), ("meta_topk, k_meta 2", 8, 2),
        ("meta_topk, k_meta 4", 4, 4), ("meta_topk, k_meta 4", 8, 4),
        ("sum", 4, None), ("sum", 1, None), ("sum", 8, None),
    ]  # fmt: skip
    assert all(point["low"] <= point["accuracy"] <= point["high"] for point in points)
    assert all(point["answered_low"] <= point["answered"] <= point["answered_high"] for point in points)


def test_the_callers_order_does_not_matter() -> None:
    rows = store([(2, 8), (3, 8)] * 10)
    turned = [
        {
            **row,
            "scores": row["scores"] and row["scores"][::-1],
            "order": [row["n"] - 1 - at for at in row["order"]],
            "expected": row["expected"] and row["expected"][::-1],
            "best": row["n"] - 1 - row["best"],
        }
        for row in rows
    ]
    assert revote(load_runs(rows), [1, 4], list(RULES)) == revote(load_runs(turned), [1, 4], list(RULES))


def test_abstentions_are_wrong_but_do_not_count_as_answers() -> None:
    rows = store([(2, 2)] * 4, failing=0.0)
    for row in rows:
        row["scores"] = [9, 1] if row["best"] == 0 else [1, 9]
        if row["item"] in ("item 0", "item 1"):
            row |= {"outcome": "no_scores", "scores": None}
    (point,) = revote(load_runs(rows), [2])
    assert (point["accuracy"], point["answered"], point["coverage"], point["tie_rate"]) == (0.5, 1.0, 0.5, 0.0)
    (nothing,) = revote(load_runs([row for row in rows if row["scores"] is None]), [2])
    assert (nothing["accuracy"], nothing["coverage"]) == (0.0, 0.0)
    assert (nothing["answered"], nothing["answered_low"], nothing["tie_rate"]) == (None, None, None)
    assert nothing["high"] > 0.5, "two items prove little"


def test_a_balanced_subset_cancels_the_slots_bonus() -> None:
    """The judge gives the first slot 3 points more: one order alone is a coin, two are right, a third ties or helps."""
    rows = store([(2, 8)] * 30, failing=0.0)
    for row in rows:
        row["scores"] = [(5 if at == row["best"] else 4) + 3 * (row["order"][0] == at) for at in range(2)]
    one, two, three, four = revote(load_runs(rows), [1, 2, 3, 4])
    assert (two["accuracy"], four["accuracy"]) == (1.0, 1.0)
    assert (one["accuracy"], three["accuracy"], three["tie_rate"]) == (0.5, 0.75, 0.5)


def test_no_tokens_no_axis() -> None:
    rows = [{**row, "completion_tokens": 0} for row in store([(2, 4)] * 3)]
    assert revote(load_runs(rows), [2])[0]["tokens"] is None


BAD: list[tuple[Any, dict[str, Any], str]] = [
    ([(2, 8)], {"ks": [16]}, "k: 16 is above what is stored .1 items with 8.; give at most 8"),
    ([(2, 8), (2, 8), (2, 4)], {"ks": [4]}, "unequal numbers of samples .1 items with 4, 2 items with 8."),
    ([(2, 8)], {"ks": []}, "k: "),
    ([(2, 8)], {"ks": [0]}, "k: "),
    ([(2, 8)], {"ks": [2, 2]}, "twice"),
    ([(2, 8)], {"ks": [2], "k_metas": [3]}, "k_meta: "),
    ([(2, 8)], {"ks": [2], "k_metas": []}, "k_meta: "),
    ([(2, 8)], {"ks": [2], "ties": "third"}, "ties: 'third' is not known; known are half, wrong, random"),
    ([(2, 8)], {"ks": [2], "quorum": 0}, "quorum: "),
    ([(2, 8)], {"ks": [2], "samples": 0}, "samples: "),
    ([(2, 8)], {"ks": [2], "rules": ["median"]}, "rule: 'median' is not known"),
    ([(1, 8)], {"ks": [2]}, "best: no stored item .*1 with one response, 0 with no labelled best"),
]


@pytest.mark.parametrize(("shapes", "asked", "said"), BAD)
def test_wrong_questions_are_named(shapes: Any, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        revote(load_runs(store(shapes)), **asked)


def test_what_no_sample_has_cannot_vote() -> None:
    rows = [{**row, "meta_score": None} for row in store([(2, 8)] * 3)]
    with pytest.raises(InvalidInput, match="no stored sample has what 'meta_soft' asks for"):
        revote(load_runs(rows), [2], ["sum", "meta_soft"])


def test_gaps_are_refused() -> None:
    rows = [row for row in store([(2, 8)] * 3) if row["sample"] != 3]
    with pytest.raises(InvalidInput, match="3 items lack some of their first 7 samples"):
        revote(load_runs(rows), [2])


def test_a_gain_is_the_paired_difference_at_the_same_k() -> None:
    runs = load_runs(store([(2, 8)] * 40, seed=3))
    points = revote(runs, [2, 8], ["sum", "length_topk"], [None, 1], against="sum")
    assert [point["gain"] for point in points if point["rule"] == "sum"] == [0.0, 0.0]
    at_eight = next(point for point in points if (point["curve"], point["k"]) == ("length_topk", 8))
    credits = [item_credits(runs, 8, rule) for rule in ("sum", "length_topk")]
    found = paired(*credits, sorted(credits[0]))
    assert at_eight["gain"] == pytest.approx(found["difference"])
    assert (at_eight["gain_low"], at_eight["gain_high"]) == pytest.approx((found["low"], found["high"]))
    assert "gain" not in revote(runs, [2])[0]


@pytest.mark.parametrize("against", ["majority", "length_topk", "nothing"])
def test_a_gain_needs_a_plain_rule_among_those_asked_for(against: str) -> None:
    with pytest.raises(InvalidInput, match=f"against: '{against}' is not one of the rules that all samples vote under"):
        revote(load_runs(store([(2, 2)])), [2], ["sum", "length_topk"], against=against)


def test_the_tie_policies_are_those_named() -> None:
    assert TIES == ("half", "wrong", "random")
    assert all(revote(load_runs(store([(3, 3)])), [2], ties=ties) for ties in TIES)
