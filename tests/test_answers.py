"""What is read of a chat server's answer: any JSON at all, and probabilities of scores in one and in two tokens."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.backends.answers import Unreadable, completions

LEGAL = range(1, 11)
OPENING = ["Scores", ": \\", "boxed", "{"]


def entry(text: str, likely: dict[str, float] | None = None, told: bool = True) -> dict[str, Any]:
    """A token as servers send it: its own log-probability, those of the others, and bytes where `told`."""
    likely = likely or {text: 1.0}
    found = [{"token": name, "logprob": math.log(share)} for name, share in likely.items()]
    own = {"token": text, "logprob": math.log(likely.get(text, 0.01)), "top_logprobs": found}
    return {**own, "bytes": list(text.encode())} if told else own


def numbers(tokens: list[dict[str, Any]], text: str | None = None, legal: Any = LEGAL) -> dict[int, dict[int, float]]:
    text = "".join(token["token"] for token in tokens) if text is None else text
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop", "logprobs": {"content": tokens}}]}
    [completion] = completions(json.dumps(body).encode(), legal)
    return {place: dict(chances) for place, chances in completion.numbers.items()}


def opened(*slots: dict[str, Any], before: str = "") -> list[dict[str, Any]]:
    return [*(entry(text) for text in ([before] if before else [])), *(entry(text) for text in OPENING), *slots]


PLACE = len("".join(OPENING))


def test_ten_in_one_token() -> None:
    found = numbers(opened(entry("10", {"10": 0.6, "9": 0.3, "1": 0.1}), entry("}")))
    assert found == {PLACE: pytest.approx({10: 0.6, 9: 0.3, 1: 0.1})}


def test_ten_in_two_tokens_that_were_written() -> None:
    one, zero = entry("1", {"1": 0.8, "9": 0.2}), entry("0", {"0": 0.75, "}": 0.2, ",": 0.05})
    assert numbers(opened(one, zero, entry("}"))) == {PLACE: pytest.approx({10: 0.6, 1: 0.2, 9: 0.2})}


def test_one_that_might_have_become_ten() -> None:
    one, comma = entry("1", {"1": 0.5, "2": 0.5}), entry(",", {",": 0.9, "0": 0.1})
    found = numbers(opened(one, comma, entry(" 3"), entry("}")))
    assert found[PLACE] == pytest.approx({1: 0.45, 10: 0.05, 2: 0.5})


def test_the_share_of_a_one_that_was_not_written_is_nobodys() -> None:
    found = numbers(opened(entry("9", {"9": 0.7, "1": 0.3}), entry("}")))
    assert found == {PLACE: pytest.approx({9: 0.7})}


def test_a_one_at_the_very_end_is_nobodys() -> None:
    assert numbers(opened(entry("1", {"1": 0.7, "9": 0.3}))) == {PLACE: pytest.approx({9: 0.3})}


def test_one_is_whole_where_no_score_is_longer() -> None:
    found = numbers(opened(entry("1", {"1": 0.7, "5": 0.3}), entry("}")), legal=range(1, 6))
    assert found == {PLACE: pytest.approx({1: 0.7, 5: 0.3})}


def test_a_space_belongs_to_the_token_and_not_to_the_place() -> None:
    found = numbers(opened(entry("8"), entry(","), entry(" 10", {" 10": 0.5, "10": 0.25, " 4": 0.25}), entry("}")))
    assert found[PLACE + 3] == pytest.approx({10: 0.75, 4: 0.25})


def test_only_scores_are_kept() -> None:
    assert numbers([entry("Response "), entry("1"), entry(" of "), entry("2")]) == {}


@pytest.mark.parametrize("told", [True, False])
def test_places_count_characters(told: bool) -> None:
    tokens = [entry("Größe 猫 🦉 ", told=told), *(entry(text, told=told) for text in (*OPENING, "8", "}"))]
    assert list(numbers(tokens)) == [len("Größe 猫 🦉 ") + PLACE]


def test_a_character_in_two_tokens() -> None:
    owl = "🦉".encode()
    halves = [{**entry("\ufffd"), "bytes": list(part)} for part in (owl[:2], owl[2:])]
    tokens = [*halves, *(entry(text) for text in (*OPENING, "8", "}"))]
    assert list(numbers(tokens, "🦉Scores: \\boxed{8}")) == [1 + PLACE]


def test_thoughts_and_control_tokens_are_no_part_of_the_text() -> None:
    tokens = [entry("<think>8</think>\n"), *opened(entry("8"), entry("}")), entry("<|im_end|>")]
    assert numbers(tokens, "Scores: \\boxed{8}") == {PLACE: pytest.approx({8: 1.0})}


def test_tokens_of_another_text_say_nothing() -> None:
    assert numbers(opened(entry("8"), entry("}")), "Something else: \\boxed{8}") == {}


def test_nothing_is_read_that_was_not_asked_for() -> None:
    assert numbers(opened(entry("8"), entry("}")), legal=()) == {}


@pytest.mark.parametrize("logprob", [None, "x", float("nan"), 5, True, -(10**400)])
def test_a_logprob_that_is_none_counts_as_nothing(logprob: Any) -> None:
    strange = {**entry("8"), "logprob": logprob, "top_logprobs": [None, {"token": 3}, "x"]}
    found = numbers(opened(strange, entry("}")))
    assert sum(found[PLACE].values()) == 0


def test_rounding_makes_no_probability_above_one() -> None:
    assert numbers(opened({**entry("8"), "logprob": 1e-6, "top_logprobs": None}, entry("}"))) == {PLACE: {8: 1.0}}


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["8", " 1", "{"])
)
NAMES = ["choices", "message", "content", "usage", "logprobs", "token", "top_logprobs", "bytes", "logprob"]
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=8
)
TOKENS = st.lists(
    st.fixed_dictionaries({"token": LEAVES, "bytes": ANYTHING, "logprob": LEAVES, "top_logprobs": ANYTHING})
)


@given(answer=ANYTHING | st.fixed_dictionaries({"choices": st.lists(ANYTHING, min_size=1), "usage": ANYTHING}))
def test_any_json_is_completions_or_unreadable(answer: Any) -> None:
    try:
        found = completions(json.dumps(answer).encode(), LEGAL)
    except Unreadable:
        return
    assert found
    assert all(one.text or one.error or one.truncated for one in found)


@given(tokens=TOKENS, text=st.text(min_size=1, max_size=8))
def test_any_tokens_are_borne(tokens: list[dict[str, Any]], text: str) -> None:
    body = {"choices": [{"message": {"content": text}, "logprobs": {"content": tokens}}]}
    [completion] = completions(json.dumps(body).encode(), LEGAL)
    assert all(0 <= share <= 1.0001 for chances in completion.numbers.values() for share in chances.values())


@given(body=st.binary(max_size=50))
def test_any_bytes_are_borne(body: bytes) -> None:
    with pytest.raises(Unreadable):
        completions(body, LEGAL)
