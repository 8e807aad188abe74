"""fitting_grm.py: what fits is left alone, what does not is refused with its counts or cut where that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.fitting_grm import MARK, SHORTEST, Fitter, common_cap
from modeling_grm.prompts_grm import render
from modeling_grm.types_grm import InvalidInput, Request

TEMPLATE = "{conversation}\n{responses}{extras}"


def by_word(text: str) -> list[str]:
    """A token is a word, or a run of white space."""
    tokens: list[str] = []
    for sign in text:
        if tokens and tokens[-1].isspace() == sign.isspace():
            tokens[-1] += sign
        else:
            tokens.append(sign)
    return tokens


def fitter(context: int, max_new_tokens: int = 10, truncation: str | None = None) -> Fitter:
    """A fitter whose token ids are numbers of words."""
    words: dict[str, int] = {}

    def split(text: str) -> list[int]:
        return [words.setdefault(token, len(words)) for token in by_word(text)]

    def count(messages: Sequence[dict[str, str]]) -> int:
        return sum(len(by_word(message["content"])) for message in messages)

    def join(ids: list[int]) -> str:
        names = list(words)
        return "".join(names[at] for at in ids)

    return Fitter(count, split, join, context, max_new_tokens, truncation)


def tokens(request: Request, template: str = TEMPLATE) -> int:
    """Tokens of the request's prompt."""
    return sum(len(by_word(message["content"])) for message in render(request, range(request.n), template))


def long_text(words: int, name: str = "w") -> str:
    """`w0 w1 w2 ...`"""
    return " ".join(f"{name}{at}" for at in range(words))


REQUEST = Request("Which one?", ["short", long_text(300), long_text(200, "v")])


def test_what_fits_is_left_alone() -> None:
    room = tokens(REQUEST) + 10
    for truncation in (None, "middle"):
        shown, cut = fitter(room, 10, truncation)(REQUEST, TEMPLATE)
        assert shown is REQUEST
        assert cut == 0


def test_one_token_too_many_is_refused_with_the_counts() -> None:
    need = tokens(REQUEST)
    with pytest.raises(InvalidInput) as caught:
        fitter(need + 9)(REQUEST, TEMPLATE)
    said = str(caught.value)
    assert "3 of them" in said
    assert f"{need} tokens" in said
    assert f"{need + 9} tokens, 10 of them max_new_tokens" in said
    assert 'truncation="middle"' in said


@pytest.mark.parametrize("context", [700, 500, 300, 150])
def test_the_middle_is_cut_until_it_fits(context: int) -> None:
    need = tokens(REQUEST)
    shown, cut = fitter(context, 10, "middle")(REQUEST, TEMPLATE)
    assert cut == need - tokens(shown)
    assert 0.8 * (context - 10) < tokens(shown) <= context - 10
    assert shown.responses[0] == "short"
    assert shown.query == REQUEST.query
    for text, whole in zip(shown.responses[1:], REQUEST.responses[1:], strict=True):
        if text != whole:
            head, tail = text.split(MARK)
            assert whole.startswith(head)
            assert whole.endswith(tail)
            assert abs(len(by_word(head)) - len(by_word(tail))) <= 2


def test_the_longest_texts_are_cut_first() -> None:
    shown, _ = fitter(tokens(REQUEST) - 50, 10, "middle")(REQUEST, TEMPLATE)
    assert MARK in shown.responses[1]
    assert shown.responses[2] == REQUEST.responses[2]


def test_a_long_query_is_cut_too_and_the_rest_kept() -> None:
    turns = [{"role": "user", "content": long_text(300)}, {"role": "assistant", "content": "a"}]
    request = Request([*turns, {"role": "user", "content": "b"}], ["c"], reference="r", principles="p")
    shown, cut = fitter(200, 10, "middle")(request, TEMPLATE)
    assert cut > 0
    assert MARK in shown.query[0]["content"]
    assert [turn["role"] for turn in shown.query] == ["user", "assistant", "user"]
    assert (shown.reference, shown.principles) == ("r", "p")


@pytest.mark.parametrize(
    ("request_", "context"),
    [
        (Request("q", [long_text(40)] * 16), 16 * SHORTEST),
        (Request("q", ["a"], principles=long_text(500)), 300),
        (Request("q", [long_text(500)]), 10),
        (Request("q", ["a"]), 5),
    ],
)
def test_what_cannot_be_cut_enough_is_refused(request_: Request, context: int) -> None:
    with pytest.raises(InvalidInput, match=r"score fewer responses: even cut to the shortest they do not fit"):
        fitter(context, 10, "middle")(request_, TEMPLATE)


def test_half_a_character_does_not_stand_at_a_cut() -> None:
    """Byte tokens: a cut inside a character leaves no replacement sign."""

    def split(text: str) -> list[int]:
        return list(text.encode("utf-8"))

    def join(ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    def count(messages: Sequence[dict[str, str]]) -> int:
        return sum(len(split(message["content"])) for message in messages)

    for context in range(400, 420):
        shown, _ = Fitter(count, split, join, context, 10, "middle")(Request("茶？", ["茶是绿色的。" * 40]), TEMPLATE)
        assert count(render(shown, (0,), TEMPLATE)) <= context - 10
        assert "\ufffd" not in shown.responses[0]


@given(
    st.lists(st.integers(0, 120).map(long_text), min_size=1, max_size=8),
    st.integers(1, 200).map(lambda words: long_text(words, "q")),
    st.integers(1, 900),
)
def test_the_result_fits_or_is_refused(responses: list[str], query: str, context: int) -> None:
    request = Request(query, responses)
    try:
        shown, cut = fitter(context, 10, "middle")(request, TEMPLATE)
    except InvalidInput:
        assert context - 10 < tokens(request)
        assert context - 10 < tokens(request) - len(by_word(query)) or context < 10 + (request.n + 1) * (SHORTEST + 20)
        return
    assert tokens(shown) <= context - 10
    assert cut == tokens(request) - tokens(shown)
    assert (cut == 0) == (shown == request)
    assert shown.n == request.n


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=18), st.integers(-50, 5000))
def test_the_common_cap_is_the_greatest(lengths: list[int], target: int) -> None:
    cap = common_cap(lengths, target)
    assert 0 <= cap <= max(lengths)
    if cap:
        assert sum(min(cap, length) for length in lengths) <= target
    if cap < max(lengths):
        assert sum(min(cap + 1, length) for length in lengths) > target
