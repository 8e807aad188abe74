"""types_grm.py and configuration_grm.py: what cannot be judged is refused by name; what can is kept as it was given."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.types_grm import MAX_RESPONSES, Critique, InvalidInput, Outcome, Request, RewardResult

USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello"}


def test_a_request_keeps_what_it_was_given() -> None:
    request = Request("Why?", ["a", ""], reference="b", principles="c")
    assert request.query == ({"role": "user", "content": "Why?"},)
    assert (request.responses, request.n) == (("a", ""), 2)
    chat = [{"role": "system", "content": ""}, USER, ASSISTANT, {**USER, "name": "Ann"}]
    assert Request(chat, ("a",)).query == ({"role": "system", "content": ""}, USER, ASSISTANT, USER)
    with pytest.raises(FrozenInstanceError):
        request.query = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"query": ""}, "query: the text is empty"),
        ({"query": " \n"}, "query: the text is empty"),
        ({"query": []}, "query: expected text or a non-empty list"),
        ({"query": None}, "query: expected text"),
        ({"query": 3}, "query: expected text"),
        ({"query": {"role": "user", "content": "x"}}, "query: expected text"),
        ({"query": ["Hi"]}, "query[0]: expected"),
        ({"query": [USER, {"role": "bot", "content": "x"}]}, "query[1]: expected"),
        ({"query": [{"role": "user", "content": None}]}, "query[0]: expected"),
        ({"query": [{"role": "user", "content": [{"type": "image"}]}]}, "query[0]: expected"),
        ({"query": [USER, ASSISTANT]}, "the last turn must be the user's, it is 'assistant'"),
        ({"query": [{"role": "system", "content": "x"}]}, "it is 'system'"),
        ({"responses": []}, "responses: the list is empty"),
        ({"responses": "ab"}, "responses: expected a list of texts"),
        ({"responses": None}, "responses: expected a list of texts"),
        ({"responses": {"a": 1}}, "responses: expected a list of texts"),
        ({"responses": ["a", None]}, "responses[1]: expected text, got None"),
        ({"responses": ["a", ["b"]]}, "responses[1]: expected text"),
        ({"responses": ["a"] * 17}, "responses: 17 given, at most 16"),
        ({"reference": ""}, "reference: expected non-empty text or None"),
        ({"reference": 42}, "reference: expected non-empty text or None"),
        ({"principles": ["be exact"]}, "principles: expected non-empty text or None"),
        ({"query": "a\ud83d"}, "query[0]: holds half a character ('\\ud83d') at 1"),
        ({"query": [USER, ASSISTANT, {"role": "user", "content": "\udc00"}]}, "query[2]: holds half a character"),
        ({"responses": ["a", "b\udfff"]}, "responses[1]: holds half a character"),
        ({"reference": "\ud800"}, "reference: holds half a character"),
        ({"principles": "\ud800"}, "principles: holds half a character"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Request(**({"query": "Hi", "responses": ["a", "b"]} | given))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_whole_pair_of_surrogates_is_one_character() -> None:
    assert Request("Hi", ["\U0001f600"]).responses == ("\U0001f600",)


def test_one_to_sixteen_responses() -> None:
    assert [Request("Hi", ["a"] * n).n for n in range(1, MAX_RESPONSES + 1)] == list(range(1, 17))


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(st.characters(categories=["Cs"]), max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content"]), inner),
)


@given(_ANYTHING, _ANYTHING, _ANYTHING)
def test_a_request_is_made_or_refused(query: Any, responses: Any, extra: Any) -> None:
    """Nothing else than InvalidInput, and what is made can be encoded."""
    try:
        request = Request(query, responses, reference=extra)
    except InvalidInput:
        return
    "".join((*(turn["content"] for turn in request.query), *request.responses)).encode("utf-8")


def test_a_critique_has_scores_exactly_when_it_is_ok() -> None:
    for outcome in Outcome:
        ok = outcome is Outcome.OK
        assert Critique("t", outcome, (0,), 1, scores=(5,) if ok else None).outcome is outcome
        with pytest.raises(ValueError, match="scores exactly when it is OK"):
            Critique("t", outcome, (0,), 1, scores=None if ok else (5,))


def test_results_are_plain_json() -> None:
    critiques = (
        Critique("good", Outcome.OK, (1, 0), 7, scores=(2, 9), principles="p", analysis="a", meta_score=0.5),
        Critique("bad", Outcome.NO_SCORES, (0, 1), 8),
        Critique("", Outcome.ENGINE_ERROR, (0, 1), 9, error="boom"),
    )
    result = RewardResult((2.0, 9.0), (2, 9), 1, critiques, (0,), 3, 1, truncated_tokens=4, extra={"note": "x"})
    assert result.outcomes == {"ok": 1, "no_scores": 1, "engine_error": 1}
    plain = result.to_dict()
    assert plain == json.loads(json.dumps(plain))
    assert (plain["scores"], plain["totals"], plain["best"], plain["note"]) == ([2.0, 9.0], [2, 9], 1, "x")
    assert "samples" not in plain
    full = result.to_dict(samples=True)
    assert full == json.loads(json.dumps(full))
    assert full["voters"] == [0]
    assert [sample["text"] for sample in full["samples"]] == ["good", "bad", ""]
    assert full["samples"][0]["outcome"] == "ok"
    assert full["samples"][2]["error"] == "boom"


def test_an_abstention_has_no_number_in_it() -> None:
    plain = RewardResult(None, None, None, (), (), 8, 0).to_dict()
    assert (plain["scores"], plain["totals"], plain["best"], plain["n_valid"]) == (None, None, None, 0)


# --------------------------------------------------------------------------- settings


def test_settings_survive_config_json() -> None:
    config = GRMConfig(template="compact", k=4, k_meta=2, temperature=0, truncation="middle", base="SmolLM2")
    assert GRMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert GRMConfig.from_dict(None) == GRMConfig.from_dict({}) == GRMConfig()


def test_none_leaves_a_setting_as_it_was() -> None:
    assert GRMConfig(k=4, temperature=0.7).override(k=None, temperature=0) == GRMConfig(k=4, temperature=0)


def test_a_caller_can_do_without_the_scores_line_of_a_checkpoint() -> None:
    assert GRMConfig(constrain="scores").override(constrain="none") == GRMConfig()
    with pytest.raises(InvalidInput, match='constrain: \'grammar\' is not usable; give "none" or "scores"'):
        GRMConfig(constrain="grammar")


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"unknown \['temprature'\]; known are \['base', 'confidence', 'constrain'"):
        GRMConfig.from_dict({"temprature": 0.5})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"k": 0}, "k"),
        ({"k": -1}, "k"),
        ({"k": 2.0}, "k"),
        ({"k": True}, "k"),
        ({"k": "8"}, "k"),
        ({"k": 4, "k_meta": 5}, "k_meta"),
        ({"k_meta": 0}, "k_meta"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 1.5}, "max_new_tokens"),
        ({"quorum": 0}, "quorum"),
        ({"quorum": 1.5}, "quorum"),
        ({"truncation": "left"}, "truncation"),
        ({"template": ""}, "template"),
        ({"template": 3}, "template"),
    ],
)
def test_an_unusable_setting_is_refused_by_name(given: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name}: .* is not usable; "):
        GRMConfig(**given)
