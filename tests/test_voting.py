"""Sampling designs are balanced, stable and equivariant; votes are the paper's sums."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling_grm.parsing_grm import parse
from modeling_grm.rows import Row
from modeling_grm.types_grm import Completion, Critique, InvalidInput, Outcome, Request
from modeling_grm.voting_grm import SEED_LIMIT, item_hash, orders, vote

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
responses = st.lists(st.text(max_size=5), min_size=1, max_size=6)
distinct = st.lists(st.text(max_size=5), min_size=1, max_size=6, unique=True)
seeds = st.integers(-(2**70), 2**70)


def ok(*scores: int, meta: float | None = None) -> Critique:
    return Critique("", Outcome.OK, tuple(range(len(scores))), 0, scores=scores, meta_score=meta)


def failed(outcome: Outcome = Outcome.NO_SCORES, meta: float | None = None) -> Critique:
    return Critique("", outcome, (0, 1), 0, meta_score=meta)


# --------------------------------------------------------------------------- the item


def test_the_hash_is_of_the_whole_content() -> None:
    item = Request("q", ["a", "b"])
    others = [
        Request("p", ["a", "b"]),
        Request([{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], ["a", "b"]),
        Request("q", ["a", "c"]),
        Request("q", ["ab"]),
        Request("q", ["a", "b", "b"]),
        Request("q", ['a", "b']),
        replace(item, reference="r"),
        replace(item, principles="r"),
    ]
    assert len({item_hash(request) for request in [item, *others]}) == 9
    assert item_hash(item) == item_hash(Request([{"role": "user", "content": "q"}], ("b", "a")))
    assert len(item_hash(item)) == 64


def test_turns_do_not_run_together() -> None:
    one = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    two = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]
    assert item_hash(Request(one, ["x"])) != item_hash(Request([*two, {"role": "user", "content": "c"}], ["x"]))


# --------------------------------------------------------------------------- the design


@CALM
@given(responses, st.integers(1, 20), st.integers(0, 20), seeds)
def test_fewer_samples_are_a_prefix_of_more(texts: list[str], k: int, more: int, seed: int) -> None:
    request = Request("q", texts)
    assert orders(request, len(texts), k + more, seed)[:k] == orders(request, len(texts), k, seed)


@CALM
@given(responses, st.integers(1, 4), seeds)
def test_each_slot_is_met_equally_often(texts: list[str], blocks: int, seed: int) -> None:
    n = len(texts)
    shown = [order for order, _ in orders(Request("q", texts), n, blocks * n, seed)]
    assert all(sorted(order) == list(range(n)) for order in shown)
    assert all(len(set(shown[at : at + n])) == n for at in range(0, len(shown), n))
    assert len(set(shown)) == n
    met = Counter((slot, response) for order in shown for slot, response in enumerate(order))
    assert set(met.values()) == {blocks}
    assert len(met) == n * n


@CALM
@given(responses, st.integers(1, 16), seeds)
def test_sample_seeds_fit_every_engine(texts: list[str], k: int, seed: int) -> None:
    drawn = [sample for _, sample in orders(Request("q", texts), len(texts), k, seed)]
    assert all(0 <= sample < SEED_LIMIT for sample in drawn)
    assert len(set(drawn)) == k


@CALM
@given(distinct, st.integers(1, 12), seeds, st.data())
def test_the_prompts_do_not_depend_on_the_callers_order(
    texts: list[str], k: int, seed: int, data: st.DataObject
) -> None:
    moved = data.draw(st.permutations(texts))
    here, there = orders(Request("q", texts), len(texts), k, seed), orders(Request("q", moved), len(texts), k, seed)
    assert [sample for _, sample in here] == [sample for _, sample in there]
    for (order, _), (moved_order, _) in zip(here, there, strict=True):
        assert [texts[at] for at in order] == [moved[at] for at in moved_order]


@CALM
@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=6), st.data())
def test_equal_texts_still_give_equal_prompts(texts: list[str], data: st.DataObject) -> None:
    moved = data.draw(st.permutations(texts))
    here, there = orders(Request("q", texts), len(texts), 8), orders(Request("q", moved), len(texts), 8)
    assert [[texts[at] for at in order] for order, _ in here] == [[moved[at] for at in order] for order, _ in there]


def test_a_hash_alone_gives_the_order_of_the_sorted_responses() -> None:
    request = Request("q", ["c", "a", "b"])
    by_hash = orders(item_hash(request), 3, 8, 5)
    assert [([request.responses[at] for at in order], sample) for order, sample in orders(request, 3, 8, 5)] == [
        (["abc"[at] for at in order], sample) for order, sample in by_hash
    ]


def test_the_number_of_responses_must_be_the_requests() -> None:
    with pytest.raises(InvalidInput, match="3 responses"):
        orders(Request("q", ["c", "a", "b"]), 2, 8)


def test_items_and_seeds_have_their_own_designs() -> None:
    items = [Request(f"question {at}", ["a", "b", "c", "d"]) for at in range(200)]
    first = Counter(orders(item, 4, 1)[0][0] for item in items)
    assert len(first) == 24
    assert max(first.values()) < 25, "8.3 expected of each of the 24 orders"
    assert len({tuple(orders(items[0], 4, 8, seed)) for seed in range(20)}) == 20
    blocks = [order for order, _ in orders(items[0], 4, 400)]
    assert len({tuple(blocks[at : at + 4]) for at in range(0, 400, 4)}) > 20, "each block has its own sequence"


def test_real_rows_start_evenly(sample_rows: list[Row]) -> None:
    pairs = [row.request for row in sample_rows if row.request.n == 2]
    kept = sum(orders(pair, 2, 1)[0][0] == (0, 1) for pair in pairs)
    assert abs(kept - len(pairs) / 2) < 4 * math.sqrt(len(pairs) / 4)


PINNED = [
    "5c2d07339eeabc3cb93cb3978caf6350e3c29be2a3ee43acd4b999243d7a53f3",
    [[[0, 2, 1], 388005399], [[1, 0, 2], 1303293513], [[2, 1, 0], 36857488], [[2, 1, 0], 1166651258]],
]


def test_the_design_is_the_same_in_every_process() -> None:
    """Pinned, so that a stored trajectory keeps its meaning, and independent of Python's own hash seed."""
    request = Request("What is 2+2?", ["4", "5", "four"])
    assert json.loads(json.dumps([item_hash(request), orders(request, 3, 4, 7)])) == PINNED


# --------------------------------------------------------------------------- the vote


def test_the_papers_example_with_a_meta_rm() -> None:
    samples = [ok(1, 5, meta=0.9), ok(5, 6, meta=-3.0), ok(4, 8, meta=1.2), ok(7, 6, meta=-15.8)]
    plain = vote(samples, 2)
    assert (plain.totals, plain.scores, plain.best) == ((17, 25), (4.25, 6.25), 1)
    assert (plain.voters, plain.k, plain.n_valid) == ((0, 1, 2, 3), 4, 4)
    guided = vote(samples, 2, k_meta=2)
    assert (guided.totals, guided.scores, guided.best, guided.voters) == ((5, 13), (2.5, 6.5), 1, (0, 2))
    assert guided.critiques == tuple(samples)


def test_the_papers_example_with_the_order_reversed() -> None:
    shown = [((0, 1), "8, 8"), ((1, 0), "9, 5"), ((1, 0), "10, 7")]
    result = vote([parse(Completion(f"Scores: \\boxed{{{scores}}}"), order) for order, scores in shown], 2)
    assert (result.totals, result.best) == ((20, 27), 1)
    assert result.scores == (20 / 3, 9.0)


def test_k_does_not_change_the_scale() -> None:
    assert vote([ok(8, 3)], 2).scores == vote([ok(8, 3)] * 32, 2).scores == (8.0, 3.0)


def test_best_is_none_on_a_tie_and_for_one_response() -> None:
    assert vote([ok(8, 8, 1)], 3).best is None
    assert vote([ok(8, 1), ok(1, 8)], 2).best is None
    assert vote([ok(1, 8, 8), ok(9, 8, 8)], 3).best is None
    assert vote([ok(1, 9, 8), ok(1, 1, 8)], 3).best == 2
    alone = vote([ok(7)], 1)
    assert (alone.best, alone.scores, alone.totals) == (None, (7.0,), (7,))


def test_failures_do_not_vote() -> None:
    result = vote([failed(Outcome.TRUNCATED), ok(8, 3), failed(Outcome.OUT_OF_RANGE), ok(6, 3)], 2)
    assert (result.totals, result.scores, result.voters, result.n_valid) == ((14, 6), (7.0, 3.0), (1, 3), 2)
    assert result.outcomes == {"truncated": 1, "ok": 2, "out_of_range": 1}


@pytest.mark.parametrize(
    ("valid", "k", "quorum", "votes"),
    [
        (0, 1, 0.5, False), (1, 1, 1.0, True), (1, 2, 0.5, True), (1, 3, 0.5, False), (2, 3, 0.5, True),
        (2, 4, 0.5, True), (1, 4, 0.5, False), (1, 8, 0.01, True), (0, 8, 0.01, False), (7, 8, 1.0, False),
        (7, 100, 0.07, True), (1, 3, 1 / 3, True), (3, 10, 0.3, True), (0, 0, 0.5, False),
    ],
)  # fmt: skip
def test_below_the_quorum_the_item_abstains(valid: int, k: int, quorum: float, votes: bool) -> None:
    result = vote([ok(8, 3)] * valid + [failed()] * (k - valid), 2, quorum=quorum)
    assert (result.scores is not None, result.totals is not None, result.best is not None) == (votes,) * 3
    assert result.voters == (tuple(range(valid)) if votes else ())
    assert (result.n_valid, result.k) == (valid, k)


def test_the_meta_rm_chooses_among_valid_and_rated_samples() -> None:
    samples = [failed(meta=9.0), ok(1, 2, meta=None), ok(3, 4, meta=math.nan), ok(5, 6, meta=-1.0), ok(7, 8, meta=-1.0)]
    assert vote(samples, 2, k_meta=1).voters == (3,), "the earlier one in a tie"
    assert vote(samples, 2, k_meta=2).voters == (3, 4)
    assert vote(samples, 2, k_meta=4).voters == (3, 4), "fewer, where fewer are rated"
    unrated = vote([ok(1, 2), ok(3, 4)], 2, k_meta=1)
    assert (unrated.scores, unrated.totals, unrated.best, unrated.voters, unrated.n_valid) == (None, None, None, (), 2)


@pytest.mark.parametrize("k_meta", [0, -1])
def test_no_voters_cannot_be_asked_for(k_meta: int) -> None:
    with pytest.raises(InvalidInput, match="k_meta"):
        vote([ok(1, 2, meta=0.0)], 2, k_meta=k_meta)


@CALM
@given(
    st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=12), st.data()
)
def test_the_vote_is_the_sum_and_moves_with_the_responses(samples: list[tuple[int, ...]], data: st.DataObject) -> None:
    result = vote([ok(*scores) for scores in samples], 3)
    assert result.totals == tuple(map(sum, zip(*samples, strict=True)))
    assert result.scores is not None
    assert all(1 <= score <= 10 for score in result.scores)
    order = data.draw(st.permutations(range(3)))
    moved = vote([ok(*(scores[at] for at in order)) for scores in samples], 3)
    assert moved.totals == tuple(result.totals[at] for at in order)
    assert moved.best == (None if result.best is None else order.index(result.best))


@CALM
@given(distinct.filter(lambda texts: len(texts) > 1), st.integers(1, 8), st.data())
def test_swapping_the_responses_swaps_the_scores(texts: list[str], k: int, data: st.DataObject) -> None:
    """The whole line, with a judge that sees only what is shown and loves the first slot."""
    moved = data.draw(st.permutations(texts))

    def judged(responses: list[str]) -> dict[str, float]:
        critiques = []
        for order, seed in orders(Request("q", responses), len(responses), k):
            shown = [min(10, 1 + len(responses[at]) + (3 if slot == 0 else seed % 2)) for slot, at in enumerate(order)]
            critiques.append(parse(Completion(f"Scores: \\boxed{{{', '.join(map(str, shown))}}}"), order, seed))
        return dict(zip(responses, vote(critiques, len(responses)).scores or (), strict=True))

    assert judged(texts) == judged(moved)
