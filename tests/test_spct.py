"""The rejection rules, as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.data.preference import Preference
from modeling_grm.data.sampling import Tally, kept_rows, truths
from modeling_grm.data.spct import Verdict, correct, hinted, reject
from modeling_grm.parsing_grm import parse
from modeling_grm.prompts_grm import TEMPLATES, render
from modeling_grm.types_grm import Completion, Critique, InvalidInput, Prompt, Request

SCORES = st.lists(st.integers(1, 10), min_size=2, max_size=6)
MADE = st.lists(st.booleans(), min_size=1, max_size=8)
ANY = st.lists(st.sampled_from((True, False, None)), max_size=8)


@given(SCORES, st.data())
def test_correct_is_the_best_alone_at_the_top(scores: list[int], data: st.DataObject) -> None:
    best = data.draw(st.integers(0, len(scores) - 1))
    ranked = sorted(scores, reverse=True)
    assert correct(scores, best, None) == (scores[best] == ranked[0] and ranked[0] > ranked[1])


@given(SCORES, st.data())
def test_the_order_of_the_others_does_not_matter(scores: list[int], data: st.DataObject) -> None:
    others = data.draw(st.permutations(scores[1:]))
    assert correct(scores, 0, None) == correct([scores[0], *others], 0, None)


@given(st.integers(0, 10), st.integers(0, 10))
def test_one_response_is_equality(score: int, label: int) -> None:
    assert correct([score], None, float(label)) == (score == label)


def test_nothing_readable_is_not_correct_and_no_truth_is_an_error() -> None:
    assert not correct(None, 0, None)
    for scores, best, label in (([1], None, None), ([1, 2], None, 1.0), ([1, 2], 2, None), ([1, 2], -1, None)):
        with pytest.raises(InvalidInput):
            correct(scores, best, label)


@given(MADE)
def test_non_hinted_samples(samples: list[bool]) -> None:
    verdicts, _ = reject(samples)
    for right, verdict in zip(samples, verdicts, strict=True):
        expected = Verdict.INCORRECT if not right else Verdict.TOO_EASY if all(samples) else Verdict.KEPT
        assert verdict is expected


@given(ANY, st.lists(st.booleans(), max_size=3))
def test_hinted_samples_are_dropped_only_if_incorrect(samples: list[bool | None], told: list[bool]) -> None:
    _, verdicts = reject(samples, told)
    assert verdicts == [Verdict.KEPT if right else Verdict.INCORRECT for right in told]


@given(ANY, st.data())
def test_what_was_not_made_decides_nothing(samples: list[bool | None], data: st.DataObject) -> None:
    """Whatever the missing samples turn out to be, no verdict but NOT_MADE is taken back."""
    before, _ = reject(samples)
    whole = [data.draw(st.booleans()) if sample is None else sample for sample in samples]
    after, _ = reject(whole)
    assert all(a is b for a, b in zip(before, after, strict=True) if a is not Verdict.NOT_MADE)
    assert Verdict.NOT_MADE not in after


@given(ANY)
def test_no_incorrect_sample_is_ever_kept(samples: list[bool | None]) -> None:
    for verdicts in reject(samples, samples):
        assert all(right for right, verdict in zip(samples, verdicts, strict=True) if verdict is Verdict.KEPT)


@given(st.permutations(range(4)), st.integers(0, 3), st.sampled_from(("deepseek-grm", "compact")))
def test_the_hint_names_the_best_as_it_is_shown(order: list[int], best: int, template: str) -> None:
    responses = ["alpha", "beta", "gamma", "delta"]
    messages = render(Request("Which letter?", responses), order, template)
    plain = Prompt(messages, tuple(order), 7, "item", 2)
    told = hinted(plain, best)
    text, _, number = told.messages[-1]["content"].rpartition("\n\nThe best response is: Response ")
    assert text == messages[-1]["content"]
    assert told.messages[:-1] == messages[:-1]
    assert f"Response {number}" in text
    assert order[int(number) - 1] == best
    assert (told.order, told.seed, told.item, told.sample) == (plain.order, 7, "item", 2)


# ---------------------------------------------------------------------- as rows


def sample(scores: tuple[int, ...] | None, outcome: str = "ok", order: tuple[int, ...] = (1, 0)) -> dict[str, object]:
    return {"scores": scores, "outcome": outcome, "order": order, "text": f"Scores: {scores}", "seed": 1}


PAIR = Preference(Request("q", ["good", "bad"]), 0, None, "made up", "mit", "a-1")


def test_kept_samples_become_rows_without_the_hint() -> None:
    tally = Tally()
    free = [sample((8, 3)), sample((8, 8)), sample((3, 8)), sample(None, "truncated"), sample(None, "engine_error")]
    rows = list(kept_rows(PAIR, free, [sample((9, 1), order=(0, 1))], "compact", tally))
    assert [(row["sample"], row["hinted"], row["scores"]) for row in rows] == [(0, False, [8, 3]), (0, True, [9, 1])]
    assert rows[0]["prompt"] == list(render(PAIR.request, (1, 0), "compact"))
    assert "best response is" not in rows[1]["prompt"][-1]["content"]
    assert rows[0]["completion"] == [{"role": "assistant", "content": "Scores: (8, 3)"}]
    said = tally.to_dict()["made up"]
    assert said["free"] == {
        "samples": 5, "kept": 1, "incorrect": 3, "too easy": 0, "not made": 1,
        "why_incorrect": {"tie": 1, "wrong": 1, "truncated": 1},
    }  # fmt: skip
    assert (said["items"], said["items_kept"], tally.kept) == (1, 1, 2)


def test_an_easy_item_keeps_its_hinted_sample_only() -> None:
    tally = Tally()
    rows = list(kept_rows(PAIR, [sample((8, 3))] * 3, [sample((8, 3))], "compact", tally))
    assert [row["hinted"] for row in rows] == [True]
    assert tally.to_dict()["made up"]["free"]["too easy"] == 3


def test_without_rejection_all_that_can_be_read_is_kept() -> None:
    tally = Tally()
    free = [sample((8, 3)), sample((3, 8)), sample(None, "truncated")]
    rows = list(kept_rows(PAIR, free, [sample((8, 8))], "compact", tally, rejection=False))
    assert [(row["sample"], row["hinted"], row["scores"]) for row in rows] == [
        (0, False, [8, 3]), (1, False, [3, 8]), (0, True, [8, 8]),
    ]  # fmt: skip
    assert tally.to_dict()["made up"]["free"]["incorrect"] == 1


def test_without_principles_the_rest_can_still_be_read() -> None:
    free = [{**sample((8, 3)), "analysis": "Response 1 is short."}, sample((3, 8)), sample((3, 8))]
    (row,) = kept_rows(PAIR, free, [], "compact", Tally(), principles=False)
    text = row["completion"][0]["content"]
    assert text == "Analysis: Response 1 is short.\nScores: \\boxed{3, 8}"
    critique = parse(Completion(text), (1, 0))
    assert isinstance(critique, Critique)
    assert critique.scores == (8, 3)


@pytest.mark.parametrize(("score", "label", "right"), [(1, 1.0, True), (0, 1.0, False), (0, 0.0, True)])
def test_a_single_response_is_right_where_its_score_is(score: int, label: float, right: bool) -> None:
    single = Preference(Request("q", ["a"]), None, (label,), "made up", "mit", "a-1")
    assert truths(single, [sample((score,), order=(0,))]) == [right]
    low, high = TEMPLATES["deepseek-grm-single"].score_range or (None, None)
    assert (low, high) == (0, 1)
