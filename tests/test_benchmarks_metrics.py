"""Official formulas on constructed judgements, against values worked out by hand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import log, tanh
from typing import Any

import numpy as np
import pytest

from modeling_grm.benchmarks import BENCHMARKS, Item, Judged, both_orders, official
from modeling_grm.benchmarks.making import kept, listed
from modeling_grm.benchmarks.metrics import mean, pearson, ranks, roc_auc, spearman, weighted
from modeling_grm.benchmarks.ppe_best_of_32 import picked
from modeling_grm.benchmarks.ranking import bradley_terry, kendall, ranking
from modeling_grm.types_grm import InvalidInput, Request

Scores = Sequence[float] | None
WIN, LOSS, TIE, NONE = (8, 3), (3, 8), (5, 5), None
count = iter(range(10**6))


def judged(subset: str, scores: Scores, labels: Sequence[float] = (1, 0), **meta: Any) -> Judged:
    """Some item of a subset whose first response is right, and its scores."""
    request = Request("q", [f"r{at}" for at in range(len(labels))])
    item = kept(f"item-{next(count)}", request, labels, subset, **meta)
    return Judged(item, None if scores is None else tuple(map(float, scores)))


def single(subset: str, score: float | None, label: float, **meta: Any) -> Judged:
    return judged(subset, None if score is None else (score,), (label,), **meta)


def value(name: str, found: Sequence[Judged]) -> float | None:
    return official(name, found)["headline"]["value"]


def of(found: dict[str, Any], part: str) -> dict[str, float | None]:
    return {name: one["value"] for name, one in found[part].items()}


class TestArithmetic:
    def test_ranks_are_shared(self) -> None:
        assert ranks([10, 30, 20, 20]) == [1, 4, 2.5, 2.5]

    def test_auc(self) -> None:
        # positives 2 and 3, negatives 1 and 2: 2 > 1, 2 = 2 (half), 3 > 1, 3 > 2
        assert roc_auc([1, 2, 2, 3], [False, True, False, True]) == 3.5 / 4
        assert roc_auc([1, 2], [True, True]) is None

    def test_correlations(self) -> None:
        assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
        assert spearman([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
        # ranks 1, 2.5, 2.5 against 1, 2, 3: centred (-1.5, .5 * .., ..) -> 1.5 / sqrt(1.5 * 2)
        assert spearman([1, 2, 2], [1, 2, 3]) == pytest.approx(1.5 / 3**0.5)
        assert pearson([1, 1], [1, 2]) is None
        assert pearson([], []) is None

    def test_means(self) -> None:
        assert mean([1.0, None, 0.0]) == 0.5
        assert mean([]) is None
        assert weighted({"a": 1.0, "b": 0.0, "c": None}, {"a": 3, "b": 1, "c": 9, "d": 5}) == 0.75
        assert weighted({}, {"a": 1}) is None


class TestOurs:
    def test_the_four_figures(self) -> None:
        found = official("rewardbench", [judged("donotanswer", scores) for scores in (WIN, LOSS, TIE, NONE)])["ours"]
        assert found == {"strict": 1 / 4, "answered": 1.5 / 3, "coverage": 3 / 4, "tie_rate": 1 / 3}

    def test_single_responses_have_a_coverage_only(self) -> None:
        found = official("realmistake", [single("c", 5, 1), single("c", None, 0)])["ours"]
        assert found == {"strict": None, "answered": None, "coverage": 0.5, "tie_rate": None}

    @pytest.mark.parametrize("name", BENCHMARKS)
    def test_nothing_judged_is_no_number(self, name: str) -> None:
        found = official(name, [])
        assert found["headline"]["value"] is None
        assert found["ours"] == {"strict": None, "answered": None, "coverage": None, "tie_rate": None}

    def test_scores_must_fit(self) -> None:
        with pytest.raises(InvalidInput, match="scores: 1 for the 2 responses"):
            Judged(Item("a", Request("q", ["x", "y"]), "s"), (1.0,))

    def test_an_unknown_benchmark(self) -> None:
        with pytest.raises(InvalidInput, match="'nothing' is not known; known are rewardbench, "):
            official("nothing", [])


class TestRewardBench:
    def test_reasoning_is_half_mathematics(self) -> None:
        found = official(
            "rewardbench",
            [judged("math-prm", WIN), judged("math-prm", LOSS), judged("hep-cpp", WIN)]
            + [judged(f"hep-{name}", LOSS) for name in ("go", "java", "js", "python", "rust")],
        )
        # (984 x 1/2 + 164 x 1) / (984 + 6 x 164) = 656 / 1968; over rows it would be 2 / 8
        assert of(found, "sections")["Reasoning"] == pytest.approx(1 / 3)
        assert found["headline"]["value"] == pytest.approx(1 / 3)

    def test_sections_weigh_subsets_and_the_headline_does_not_weigh_sections(self) -> None:
        found = official(
            "rewardbench",
            [judged("mt-bench-med", LOSS), judged("donotanswer", LOSS)]
            + [judged(name, WIN) for name in ("alpacaeval-easy", "mt-bench-hard", "math-prm")],
        )
        chat = 100 / (100 + 40)
        assert of(found, "sections") == {"Chat": chat, "Chat Hard": 1, "Safety": 0, "Reasoning": 1}
        assert found["headline"]["value"] == pytest.approx((chat + 1 + 0 + 1) / 4)
        assert found["sections"]["Chat"]["rows"] == 2
        assert "without 18 of 23 subsets" in found["notes"][0]

    def test_a_tie_and_no_verdict_are_half_for_a_judge_and_nothing_strictly(self) -> None:
        found = official("rewardbench", [judged("donotanswer", scores) for scores in (TIE, NONE, WIN, WIN)])
        assert found["headline"]["value"] == (0.5 + 0.5 + 1 + 1) / 4
        assert found["headline"]["strict"] == 2 / 4

    def test_prior_sets_are_a_plain_mean(self) -> None:
        found = [judged("shp", WIN), judged("shp", WIN), judged("summarize", LOSS)]
        assert value("rewardbench-prior", found) == 0.5


def ties(kind: str, prompt: str, right: Sequence[float | None], wrong: Sequence[float | None]) -> list[Judged]:
    facts = {"kind": kind, "prompt": prompt, "unit": f"Ties/{prompt}"}
    return [single("Ties", score, 1, **facts) for score in right] + [single("Ties", s, 0, **facts) for s in wrong]


class TestRewardBench2:
    @pytest.mark.parametrize(
        ("scores", "credit"),
        [((9, 1, 2, 3), 1), ((5, 5, 1, 1), 1 / 2), ((5, 5, 5, 5), 1 / 4), ((4, 5, 5, 5), 0), (None, 1 / 4)],
    )
    def test_best_of_four(self, scores: Scores, credit: float) -> None:
        assert value("rewardbench2", [judged("Focus", scores, (1, 0, 0, 0))]) == credit

    def test_ties(self) -> None:
        found = official(
            "rewardbench2",
            ties("ref", "1", [9], [3])  # gap 6
            + ties("tied", "1", [9, 8], [5, 2])  # gap 3, spread 1
            + ties("ref", "2", [5], [5])  # gap 0: not accurate
            + ties("tied", "2", [7, 7], [6]),  # gap 1, spread 0
        )
        # accuracy: tied 2/2, ref 1/2; gap > spread 2/2; min(gaps) > spread: 3 > 1 yes, 0 > 0 no
        # margin: tanh(3 / 1 - 1) and 0 / 0 -> 0
        by_hand = 0.3 * 1 + 0.3 * 0.5 + 0.2 * 1 + 0.2 * 0.5 + 0.01 * (tanh(2) + 0) / 2
        assert found["headline"]["value"] == pytest.approx(by_hand)
        assert found["subsets"]["Ties"]["rows"] == 4
        assert of(found, "sections") == {"Ties tied accuracy": 1, "Ties ref accuracy": 0.5}

    def test_ties_at_best_and_with_spread_zero(self) -> None:
        best = ties("ref", "1", [9], [1]) + ties("tied", "1", [9, 9], [1])
        assert value("rewardbench2", best) == pytest.approx(1.01)  # 8 / 0 is infinite, and its tanh 1
        worst = ties("ref", "1", [1], [9]) + ties("tied", "1", [1, 1], [9])
        assert value("rewardbench2", worst) == pytest.approx(-0.01)

    def test_an_unread_rating_is_minus_one(self) -> None:
        unread = ties("ref", "1", [9], [None]) + ties("tied", "1", [9, 9], [1])
        found = official("rewardbench2", unread)["headline"]
        assert found["value"] == pytest.approx(1.01)  # the official code lets an unread wrong response lose
        assert found["strict"] == pytest.approx(0.3 * 1 + 0.2 * 1 - 0.01)  # strictly it wins

    def test_a_prompt_without_its_other_form_has_no_value(self) -> None:
        assert value("rewardbench2", ties("tied", "1", [9, 9], [1])) is None

    def test_the_headline_does_not_weigh_rows(self) -> None:
        lists = [judged("Math", (9, 1, 1, 1), (1, 0, 0, 0))] * 3 + [judged("Focus", (1, 9, 1, 1), (1, 0, 0, 0))]
        best = ties("ref", "1", [9], [1]) + ties("tied", "1", [9, 9], [1])
        assert value("rewardbench2", lists + best) == pytest.approx((1 + 0 + 1.01) / 3)


def arena(
    scores: Scores, labels: Sequence[float] = (1, 0), models: str = "ab", categories: Sequence[str] = ()
) -> Judged:
    """A pair of PPE Human Preference whose answers are of these two models."""
    return judged("English", scores, labels, by_response_model=list(models), categories=list(categories))


class TestPPE:
    def test_preference_drops_ties_and_what_cannot_be_read(self) -> None:
        found = official("ppe-preference", [*map(arena, (WIN, WIN, LOSS, TIE, NONE)), arena(WIN, (0.5, 0.5))])
        assert found["headline"]["value"] == pytest.approx(2 / 3)
        assert found["headline"]["strict"] == 2 / 5
        assert found["ours"]["coverage"] == 4 / 5
        assert found["subsets"]["English"]["rows"] == 5

    def test_as_a_scalar_model_the_second_wins_a_tie(self) -> None:
        first, second = arena(TIE, categories=["hard"]), arena(TIE, (0, 1))
        found = of(official("ppe-preference", [first, second, second, arena(NONE)]), "sections")
        assert found["hard"] is None
        assert found["as a scalar model"] == pytest.approx(2 / 3)

    def test_rankings_of_models(self) -> None:
        """People: a > b > c by 3 : 1 each and a tie; the judge has b and c the other way round."""
        people = [("ab", 3, 1), ("bc", 3, 1), ("ac", 2, 2)]
        rows = [
            arena(WIN if won == (models != "bc") else LOSS, (1, 0) if won else (0, 1), models)
            for models, wins, losses in people
            for won in [True] * wins + [False] * losses
        ]
        tied = arena(WIN, (0.5, 0.5), "ac")  # half a win each for the person, a whole one for the judge
        found = of(official("ppe-preference", [*rows, tied, arena(TIE, (0, 1), "ca")]), "sections")
        # ranks 1 2 3 against 1 3 2: Spearman 1 - 6 * 2 / (3 * 8), Kendall (2 - 1) / 3
        assert found["ranking of models: Spearman"] == pytest.approx(0.5)
        assert found["ranking of models: Kendall"] == pytest.approx(1 / 3)

    def test_without_a_chain_of_wins_there_is_no_ranking(self) -> None:
        found = official("ppe-preference", [arena(WIN), arena(LOSS, (0, 1)), arena(WIN, (1, 0), "bc")])
        assert of(found, "sections")["ranking of models: Spearman"] is None

    def test_correctness_is_over_pairs_and_for_a_scalar_model_over_rows(self) -> None:
        rows = [judged("math", WIN, unit="a")] * 3 + [judged("math", LOSS, unit="b")]
        found = official(
            "ppe-correctness", [*rows, judged("gpqa", TIE, (1, 0), unit="c"), judged("gpqa", WIN, unit="c")]
        )
        assert of(found, "subsets") == {"math": 3 / 4, "gpqa": 1}
        assert found["headline"]["value"] == pytest.approx((3 / 4 + 1) / 2)
        assert found["headline"]["strict"] == pytest.approx((3 / 4 + 1 / 2) / 2)
        assert of(found, "sections") == {"math as a scalar model": (1 + 0) / 2, "gpqa as a scalar model": (0 + 1) / 2}


def rated(subset: str, unit: str, scores: Sequence[float | None], labels: Sequence[float]) -> list[Judged]:
    return [single(subset, score, label, unit=unit) for score, label in zip(scores, labels, strict=True)]


class TestBestOf32:
    def test_the_highest_of_k_and_the_best_of_k(self) -> None:
        # K = 1: 2/3; K = 2: of the pairs 12, 13, 23 the picks are right, right, wrong; K = 3: the first
        assert picked((3, 2, 1), (1, 0, 1)) == pytest.approx((2 / 3, 2 / 3, 1))
        assert picked((1, 0, 1), (1, 0, 1)) == pytest.approx((2 / 3, 1, 1))
        # a tie of the first two: half; the pair 12 half, 13 right, 23 wrong
        assert picked((5, 5, 1), (1, 0, 0)) == pytest.approx((1 / 3, 1 / 2, 1 / 2))

    def test_the_curve_is_the_mean_over_all_orders(self) -> None:
        scores, labels = (4, 7, 7, 1, 4), (0, 1, 0, 1, 1)
        by_hand = [0.0] * 5
        for order in permutations(range(5)):
            for k in range(1, 6):
                by_hand[k - 1] += labels[max(order[:k], key=lambda at: scores[at])] / 120  # the first of equals
        assert picked(scores, labels) == pytest.approx(by_hand)

    def test_the_figures_of_a_data_set(self) -> None:
        found = official("ppe-best-of-32", rated("math", "a", (3, 2, 1), (1, 0, 1)))
        assert found["subsets"]["math"] == {"value": 1, "rows": 1}
        # curve 2/3 2/3 1 against 2/3 1 1; scaled scores 1, 0.5, 0 with 1 and 0 right: one of two comparisons
        assert of(found, "sections") == {"math loss": pytest.approx((1 / 3) ** 2 / 3), "math AUC": 0.5}

    def test_the_auc_scales_each_row_and_leaves_out_what_does_not_vary(self) -> None:
        rows = rated("gpqa", "a", (1, 2), (0, 1)) + rated("gpqa", "b", (100, 300), (0, 1))
        assert of(official("ppe-best-of-32", rows), "sections")["gpqa AUC"] == 1  # unscaled it would be 3/4
        flat = rated("gpqa", "c", (7, 7), (1, 0))
        assert of(official("ppe-best-of-32", rows + flat), "sections")["gpqa AUC"] == 1

    def test_what_cannot_be_read_is_picked_last(self) -> None:
        row = rated("math", "a", (None, 4, 6), (1, 1, 0))
        found = official("ppe-best-of-32", row)
        assert found["headline"]["value"] == 0
        assert of(found, "sections")["math AUC"] == 0  # scaled 0, 0, 1: both right ones below
        unread = official("ppe-best-of-32", rated("math", "a", (None, None), (1, 0)))
        assert (unread["headline"]["value"], unread["headline"]["strict"]) == (0.5, 0)

    def test_data_sets_weigh_alike_and_a_tie_is_strictly_the_worst(self) -> None:
        rows = [
            *rated("math", "a", (5, 1), (1, 0)),
            *rated("math", "b", (5, 5), (1, 0)),
            *rated("gpqa", "c", (1, 2), (1, 0)),
        ]
        found = official("ppe-best-of-32", rows)["headline"]
        assert found["value"] == pytest.approx((0.75 + 0) / 2)
        assert found["strict"] == pytest.approx((0.5 + 0) / 2)


class TestRankings:
    def test_two_models_stand_apart_by_the_log_of_their_odds(self) -> None:
        found = ranking([("a", "b", 1), ("b", "a", 0), ("a", "b", 0.5), ("a", "b", 0.5), ("a", "a", 1)])
        assert found is not None
        assert found["a"] - found["b"] == pytest.approx(log(3))  # 3 wins of 4

    def test_the_fit_wins_as_often_as_was_won(self) -> None:
        wins = np.array([[0, 7, 2, 5], [3, 0, 4, 1], [1, 2, 0, 2], [4, 1, 3, 0]], dtype=float)
        found = bradley_terry(wins.copy())
        assert found is not None
        chances = 1 / (1 + np.exp(found[None, :] - found[:, None]))
        assert ((wins + wins.T) * chances).sum(axis=1) == pytest.approx(wins.sum(axis=1), abs=1e-6)

    def test_there_is_no_fit_without_a_chain_of_wins(self) -> None:
        assert ranking([]) is None
        assert ranking([("a", "b", 1), ("b", "a", 0)]) is None
        assert ranking([("a", "b", 0.5), ("c", "d", 0.5)]) is None
        assert ranking([("a", "b", 1), ("b", "c", 1), ("c", "a", 1)]) == pytest.approx({"a": 0, "b": 0, "c": 0})

    def test_kendall_counts_pairs(self) -> None:
        assert kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx((5 - 1) / 6)
        assert kendall([1, 2, 2], [1, 2, 3]) == pytest.approx(2 / (2 * 3) ** 0.5)
        assert kendall([1, 1], [1, 2]) is None


class TestRMB:
    @pytest.mark.parametrize(("scores", "right"), [((9, 8, 1), 1), ((9, 9, 1), 0), ((8, 9, 1), 0), (None, 0)])
    def test_the_best_must_beat_every_other(self, scores: Scores, right: int) -> None:
        item = judged("best-of-n/x", scores, (1, 0, 0), set="best-of-n", goal="Helpfulness")
        assert value("rmb", [item]) == right

    def test_the_mean_of_four_parts(self) -> None:
        def some(kind: str, goal: str, *scores: Scores) -> list[Judged]:
            return [judged(f"{kind}/x", one, set=kind, goal=goal) for one in scores]

        found = official(
            "rmb",
            some("pairwise", "Helpfulness", WIN, WIN, WIN, LOSS)
            + some("pairwise", "Harmlessness", WIN)
            + some("best-of-n", "Helpfulness", LOSS)
            + some("best-of-n", "Harmlessness", WIN, TIE),
        )
        assert found["headline"]["value"] == pytest.approx((3 / 4 + 1 + 0 + 1 / 2) / 4)
        assert found["notes"] == ["a tie with the best is wrong"]


def styled(domain: str, right: Sequence[float], wrong: Sequence[float]) -> Judged:
    """A row of RM-Bench with scores by style, in the order that its id draws."""
    styles = ["concise", "detailed", "detailed_md"] * 2
    texts = [f"{name} {at}" for at, name in enumerate(styles)]
    item = listed(f"row-{next(count)}", "q", texts, [1] * 3 + [0] * 3, domain, by_response_style=styles)
    score = dict(zip(texts, [*right, *wrong], strict=True))
    return Judged(item, tuple(float(score[text]) for text in item.request.responses))


class TestRMBench:
    def test_a_judge_that_likes_style(self) -> None:
        # right 5 7 9, wrong 4 6 8: concise beats concise only, detailed loses to Markdown, Markdown beats all
        found = official("rm-bench", [styled("chat", (5, 7, 9), (4, 6, 8))])
        assert of(found, "sections") == {"chat": pytest.approx(2 / 3), "hard": 0, "normal": 1, "easy": 1}

    def test_the_matrix_is_over_rows_and_ties_are_wrong(self) -> None:
        found = official("rm-bench", [styled("math", (5, 5, 5), (5, 5, 5)), styled("math", (9, 9, 9), (1, 1, 9))])
        # the second row: Markdown ties in its three cells (two of them hard, one normal)
        assert of(found, "sections")["hard"] == pytest.approx((0 + 1 / 3) / 2)
        assert of(found, "sections")["normal"] == pytest.approx((0 + 2 / 3) / 2)
        assert of(found, "sections")["easy"] == pytest.approx((0 + 1) / 2)
        assert found["ours"]["strict"] == pytest.approx((0 + 6 / 9) / 2)
        assert found["ours"]["answered"] == pytest.approx((0.5 + 7.5 / 9) / 2)
        assert found["ours"]["tie_rate"] == pytest.approx((1 + 3 / 9) / 2)

    def test_safety_pools_its_rows_and_domains_weigh_alike(self) -> None:
        good, bad = ((9, 9, 9), (1, 1, 1)), ((1, 1, 1), (9, 9, 9))
        rows = [styled("safety-refuse", *good)] * 3 + [styled("safety-response", *bad), styled("code", *bad)]
        found = official("rm-bench", rows)
        assert of(found, "sections")["safety"] == pytest.approx(3 / 4)
        assert found["headline"]["value"] == pytest.approx((3 / 4 + 0) / 2)
        assert of(found, "subsets") == {"code": 0, "safety-refuse": 1, "safety-response": 0}

    def test_no_scores_lose_every_comparison(self) -> None:
        row = styled("chat", (9, 9, 9), (1, 1, 1))
        found = official("rm-bench", [row, Judged(row.item)])
        assert found["headline"]["value"] == pytest.approx(1 / 2)
        assert found["ours"]["coverage"] == 1 / 2
        assert found["ours"]["answered"] == 1


def orders(name: str, subset: str, first: Scores, second: Scores, **meta: Any) -> list[Judged]:
    """A pair in both orders; the scores are those of (right, wrong), whatever is shown first."""
    pair = both_orders([judged(subset, None, **meta).item])
    shown = [first, None if second is None else tuple(second)[::-1]]
    return [Judged(item, None if s is None else tuple(map(float, s))) for item, s in zip(pair, shown, strict=True)]


class TestBothOrders:
    def test_the_other_order(self) -> None:
        item, other = both_orders([judged("s", None, (1, 0), by_response_model=["a", "b"]).item])
        assert other.request.responses == item.request.responses[::-1]
        assert (other.best, other.labels, other.unit) == (1, (0.0, 1.0), item.unit)
        assert other.meta == {"by_response_model": ["b", "a"], "unit": item.unit, "swapped": True}
        assert other.id != item.id

    @pytest.mark.parametrize(
        ("first", "second", "right"),
        [(WIN, WIN, 1), (WIN, TIE, 1), (WIN, NONE, 1), (WIN, LOSS, 0), (TIE, TIE, 0), (LOSS, TIE, 0), (NONE, NONE, 0)],
    )
    def test_judgebench_adds_both_decisions(self, first: Scores, second: Scores, right: int) -> None:
        assert value("judgebench", orders("judgebench", "gpt/mmlu-pro", first, second, split="gpt")) == right

    def test_judgebench_from_one_order_and_without_merging_the_splits(self) -> None:
        gpt = [judged("gpt/mmlu-pro", s, split="gpt") for s in (WIN, TIE, LOSS, WIN)]
        found = official("judgebench", [*gpt, judged("claude/livecodebench", LOSS, split="claude")])
        assert found["headline"]["value"] == 2 / 4
        assert of(found, "sections") == {"gpt": 2 / 4, "claude": 0}
        assert found["subsets"]["gpt/mmlu-pro"]["rows"] == 4

    def test_llmbar_averages_both_orders(self) -> None:
        pairs = [(WIN, WIN), (WIN, LOSS), (TIE, TIE), (NONE, NONE)]
        found = official("llmbar", [one for pair in pairs for one in orders("llmbar", "Natural", *pair)])
        # correct_average: (2 + 1 + 1 + 1) / 8; correct_both and equal: the first
        assert found["headline"]["value"] == pytest.approx(5 / 8)
        assert of(found, "sections") == {
            "Adversarial": None,
            "right in both orders": 1 / 4,
            "same in both orders": 1 / 4,
        }

    def test_llmbar_weighs_five_subsets_alike(self) -> None:
        rows = [judged("Natural", WIN)] * 3 + [judged("Adversarial_GPTOut", LOSS), judged("Adversarial_Manual", WIN)]
        found = official("llmbar", rows)
        assert found["headline"]["value"] == pytest.approx((1 + 0 + 1) / 3)
        assert of(found, "sections") == {"Adversarial": 1 / 2}

    def test_evalbiasbench_counts_orders_and_pairs(self) -> None:
        pairs = [(WIN, WIN), (WIN, LOSS), (WIN, TIE), (LOSS, LOSS), (TIE, TIE), (NONE, NONE)]
        found = official("evalbiasbench", [one for pair in pairs for one in orders("e", "length bias", *pair)])
        assert found["headline"]["value"] == pytest.approx(4 / 12)
        assert of(found, "sections") == {"right in both orders": 1 / 6, "same in both orders": 3 / 6}


class TestSingles:
    def test_realmistake_is_the_mean_of_the_cells_auc(self) -> None:
        first = [single("a", 9, 1), single("a", 2, 0), single("a", 3, 0)]  # 1
        second = [single("b", 2, 1), single("b", 3, 0), single("b", 2, 0)]  # 0 and a half of 2
        found = official("realmistake", first + second)
        assert of(found, "subsets") == {"a": 1, "b": 0.25}
        assert found["headline"]["value"] == pytest.approx((1 + 0.25) / 2)
        assert found["headline"]["strict"] == pytest.approx((1 + 0.25) / 2)

    def test_strictly_an_unread_response_loses_its_comparisons(self) -> None:
        found = official("realmistake", [single("a", 9, 1), single("a", 2, 0), single("a", None, 0)])["headline"]
        assert (found["value"], found["strict"]) == (1, 0.5)

    def test_correctness_pools_all_rows(self) -> None:
        rows = [single("x", 9, 1), single("x", 1, 0), single("y", 5, 1), single("y", 6, 0)]
        assert value("processbench", rows) == pytest.approx(3 / 4)  # 9 > 1, 9 > 6, 5 > 1, 5 < 6

    def test_ratings(self) -> None:
        rows = [single("x", score, rating) for score, rating in ((1, 1), (2, 4), (9, 5))]
        found = official("prometheus", rows)
        assert found["headline"]["value"] == pytest.approx(1)
        assert of(found, "sections")["Pearson"] == pytest.approx(pearson([1, 2, 9], [1, 4, 5]))


def test_best_of_n_beside_chance_and_the_best() -> None:
    rows = [judged("s", (9, 1, 1, 1), (0, 1, 0, 1)), judged("s", (5, 5, 1, 1), (1, 0, 1, 1)), judged("s", None, (1, 0))]
    found = official("gsm8k-best-of-4", rows)
    assert found["headline"] == {
        "name": "mean label of the choice",
        "value": pytest.approx((0 + 0.5 + 0) / 3),
        "strict": 0,
    }
    assert of(found, "sections") == {"by chance": pytest.approx((0.5 + 0.75 + 0.5) / 3), "best possible": 1}


def test_labels_between_right_and_wrong() -> None:
    rows = [judged("s", (9, 1), (0.7, 0.2)), judged("s", (5, 5), (0.7, 0.2))]
    found = official("alpacaeval-best-of-11", rows)
    assert found["headline"]["value"] == pytest.approx((0.7 + 0.45) / 2)
    assert found["headline"]["strict"] == pytest.approx((0.7 + 0.2) / 2)
