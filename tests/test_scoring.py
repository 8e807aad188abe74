"""scoring_grm.py: the way of the data, over engines that answer late, out of order, badly, or not at all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.prompts_grm import TEMPLATES
from modeling_grm.scoring_grm import Generate, plan, score, score_range
from modeling_grm.types_grm import Completion, Critique, InvalidInput, Outcome, Prompt, Request, RewardResult

CONFIG = GRMConfig(template="compact", k=4)
PAIR = Request("Which is longer?", ["a long answer", "short"])


def worth(text: str) -> int:
    """The fake judge's opinion: long texts are good."""
    return min(10, 1 + len(text))


def responses_in(prompt: Prompt) -> list[str]:
    """The responses as the prompt shows them (compact template, one line each)."""
    return re.findall(r"^# Response \d+\n(.*)$", prompt.messages[-1]["content"], re.MULTILINE)


def honest(prompt: Prompt) -> Completion:
    """A judgement of what the prompt shows, with a little noise from its seed."""
    noise = Random(prompt.seed)
    scores = [max(1, min(10, worth(text) + noise.choice((-1, 0, 1)))) for text in responses_in(prompt)]
    return Completion(f"Analysis: fine.\nScores: \\boxed{{{', '.join(map(str, scores))}}}", prompt_tokens=9)


def in_order(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
    """Answers each prompt before it reads the next."""
    return ((index, honest(prompt)) for index, prompt in enumerate(prompts))


def shuffled(window: int, seed: int = 0) -> Generate:
    """Reads `window` prompts ahead and answers them in any order."""

    def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        random, numbered = Random(seed), enumerate(prompts)
        while read := list(itertools.islice(numbered, window)):
            random.shuffle(read)
            yield from ((index, honest(prompt)) for index, prompt in read)

    return generate


def scripted(*texts: str | Completion) -> Generate:
    """Answers sample j with text j, whatever is asked."""

    def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        for (index, _), text in zip(enumerate(prompts), itertools.cycle(texts), strict=False):
            yield index, text if isinstance(text, Completion) else Completion(text)

    return generate


def of_caller(votes: Sequence[Sequence[int]], request: Request, config: GRMConfig) -> Generate:
    """Answers such that sample j's scores, in the caller's order, are `votes[j]`."""
    orders = [prompt.order for prompt in plan(request, config, 0)]
    boxes = (", ".join(str(vote[at]) for at in order) for vote, order in zip(votes, orders, strict=True))
    return scripted(*(f"Scores: \\boxed{{{box}}}" for box in boxes))


def one(request: Request, generate: Generate, config: GRMConfig = CONFIG, **settings: object) -> RewardResult:
    """The result of one request."""
    (result,) = score([request], generate, config, **settings)  # type: ignore[arg-type]
    return result


# --------------------------------------------------------------------------- order and laziness


@given(st.integers(1, 40), st.integers(0, 100), st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 6))
def test_results_come_in_the_order_of_the_requests(window: int, seed: int, sizes: list[int], k: int) -> None:
    requests = [Request(f"question {at}", ["x" * (at + i) for i in range(n)]) for at, n in enumerate(sizes)]
    config = CONFIG.override(k=k)
    late = list(score(requests, shuffled(window, seed), config))
    assert late == list(score(requests, in_order, config))
    assert [len(result.scores or ()) for result in late] == sizes


def test_requests_are_read_only_as_far_as_the_engine_reads() -> None:
    read = []

    def endless() -> Iterator[Request]:
        for at in itertools.count():
            read.append(at)
            yield Request(f"question {at}", ["a", "bb"])

    results = score(endless(), shuffled(window=8), CONFIG)  # two requests of four samples at a time
    assert read == []
    next(results)
    assert read == [0, 1]
    next(results)
    next(results)
    assert read == [0, 1, 2, 3]


def test_a_result_comes_as_soon_as_it_is_complete() -> None:
    results = score([PAIR, PAIR], in_order, CONFIG)
    assert next(results) == next(results)
    assert next(results, None) is None
    assert list(score([], in_order, CONFIG)) == []


def test_a_request_waits_for_those_before_it() -> None:
    def backwards(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        yield from reversed([(index, honest(prompt)) for index, prompt in enumerate(prompts)])

    requests = [Request(f"q{at}", ["a", "bbbb"]) for at in range(5)]
    assert list(score(requests, backwards, CONFIG)) == list(score(requests, in_order, CONFIG))


def test_an_engine_that_owes_samples_is_an_error() -> None:
    def lazy(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        yield from (answer for answer in in_order(prompts) if answer[0] not in (5, 6))

    results = score([PAIR, PAIR], lazy, CONFIG)
    assert next(results).n_valid == 4
    with pytest.raises(RuntimeError, match="without a word on 2 of its samples"):
        next(results)


# --------------------------------------------------------------------------- samples


def test_the_first_samples_do_not_depend_on_k() -> None:
    few, many = (plan(PAIR, CONFIG.override(k=k), seed=3) for k in (4, 8))
    assert many[:4] == few
    assert one(PAIR, in_order, CONFIG.override(k=8)).critiques[:4] == one(PAIR, in_order).critiques


def test_each_response_meets_each_slot_equally_often() -> None:
    request = Request("q", ["a", "b", "c", "d"])
    prompts = plan(request, CONFIG.override(k=8), seed=0)
    for slot in range(4):
        assert sorted(prompt.order[slot] for prompt in prompts) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len({prompt.messages for prompt in map(_hashable, prompts)}) == 4


def _hashable(prompt: Prompt) -> Prompt:
    return Prompt(tuple(tuple(m.items()) for m in prompt.messages), prompt.order, prompt.seed)  # type: ignore[misc]


def test_a_seed_changes_the_samples() -> None:
    assert plan(PAIR, CONFIG, seed=0) == plan(PAIR, CONFIG, seed=0)
    assert plan(PAIR, CONFIG, seed=0) != plan(PAIR, CONFIG, seed=1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_another_order_of_the_responses_permutes_the_scores(order: tuple[int, ...]) -> None:
    texts = ["one", "three three", "two two"]
    plain, moved = one(Request("q", texts), in_order), one(Request("q", [texts[at] for at in order]), in_order)
    assert plain.scores is not None
    assert moved.scores == tuple(plain.scores[at] for at in order)
    assert moved.best == order.index(1)
    assert [critique.seed for critique in moved.critiques] == [critique.seed for critique in plain.critiques]


def test_an_item_is_judged_the_same_among_others() -> None:
    others = [Request(f"q{at}", ["a"] * at) for at in range(1, 6)]
    assert list(score([*others, PAIR], shuffled(7), CONFIG))[-1] == one(PAIR, in_order)


def test_what_is_shown_may_be_cut_but_orders_stay() -> None:
    def fit(request: Request, template: str) -> tuple[Request, int]:
        assert template == "compact"
        return Request(request.query, [text[:4] for text in request.responses]), 11

    seen: list[Prompt] = []

    def watching(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        for index, prompt in enumerate(prompts):
            seen.append(prompt)
            yield index, honest(prompt)

    result = one(PAIR, watching, fit=fit)
    assert result.truncated_tokens == 11
    assert [prompt.order for prompt in seen] == [prompt.order for prompt in plan(PAIR, CONFIG, 0)]
    assert [prompt.seed for prompt in seen] == [prompt.seed for prompt in plan(PAIR, CONFIG, 0)]
    assert all("a long" not in prompt.messages[-1]["content"] for prompt in seen)


def test_a_request_that_does_not_fit_ends_the_run() -> None:
    def refuse(request: Request, template: str) -> tuple[Request, int]:
        raise InvalidInput("too long")

    with pytest.raises(InvalidInput, match="too long"):
        one(PAIR, in_order, fit=refuse)


# --------------------------------------------------------------------------- failures and votes

FAILURES: tuple[tuple[str | Completion, Outcome], ...] = (
    (Completion("", error="OutOfMemoryError: 3 GiB"), Outcome.ENGINE_ERROR),
    ("I like both.", Outcome.NO_SCORES),
    ("Scores: \\boxed{8}", Outcome.WRONG_COUNT),
    ("Scores: \\boxed{8, 11}", Outcome.OUT_OF_RANGE),
    (Completion("Analysis: Resp", truncated=True), Outcome.TRUNCATED),
)


@pytest.mark.parametrize(("failure", "outcome"), FAILURES)
def test_a_failure_is_kept_and_does_not_vote(failure: str | Completion, outcome: Outcome) -> None:
    result = one(PAIR, scripted(failure, "Scores: \\boxed{7, 7}"))
    assert [critique.outcome for critique in result.critiques] == [outcome, Outcome.OK] * 2
    assert (result.voters, result.n_valid, result.k) == ((1, 3), 2, 4)
    assert result.scores == (7.0, 7.0)
    assert result.best is None
    kept = result.critiques[0]
    assert kept.text == (failure if isinstance(failure, str) else failure.text)
    assert kept.error == (None if isinstance(failure, str) else failure.error)


@pytest.mark.parametrize(("failure", "outcome"), FAILURES)
def test_below_the_quorum_there_is_no_number(failure: str | Completion, outcome: Outcome) -> None:
    result = one(PAIR, scripted(failure, failure, failure, "Scores: \\boxed{7, 2}"))
    assert (result.scores, result.totals, result.best, result.voters) == (None, None, None, ())
    assert (result.n_valid, result.outcomes) == (1, {outcome.value: 3, "ok": 1})
    assert one(PAIR, scripted(failure), CONFIG.override(quorum=0.01)).scores is None
    enough = one(PAIR, scripted(failure, failure, failure, "Scores: \\boxed{7, 7}"), CONFIG.override(quorum=0.25))
    assert enough.scores == (7.0, 7.0)


def test_the_papers_example() -> None:
    """(1, 5), (5, 6), (4, 8), (7, 6): totals 17 and 25; with samples 1 and 3 alone 5 and 13 (Eq 14)."""
    votes = ((1, 5), (5, 6), (4, 8), (7, 6))
    generate = of_caller(votes, PAIR, CONFIG)
    plain = one(PAIR, generate)
    assert plain.totals == (17, 25)
    assert plain.scores == (4.25, 6.25)
    assert plain.best == 1
    assert [critique.scores for critique in plain.critiques] == list(votes)
    good = {(1, 5): 0.9, (4, 8): 0.7}
    guided = one(PAIR, generate, rate=lambda rated: [good.get(critique.scores, -1.0) for _, critique in rated])
    assert guided.totals == (5, 13)
    assert guided.voters == (0, 2)
    assert [critique.meta_score for critique in guided.critiques] == [0.9, -1.0, 0.7, -1.0]


def test_scores_are_mapped_back_to_the_callers_order() -> None:
    """(8, 8) in order, then (9, 5) and (10, 7) with the order reversed: totals 20 and 27."""
    request = next(
        request
        for request in (Request(f"q{at}", ["x", "y"]) for at in range(999))
        if [prompt.order for prompt in plan(request, CONFIG.override(k=3), 0)] == [(1, 0), (0, 1), (1, 0)]
    )
    shown = scripted("Scores: \\boxed{9, 5}", "Scores: \\boxed{8, 8}", "Scores: \\boxed{10, 7}")
    assert one(request, shown, CONFIG.override(k=3)).totals == (20, 27)


# --------------------------------------------------------------------------- the meta RM


def test_the_meta_rm_sees_the_request_and_every_critique() -> None:
    calls: list[list[tuple[Request, Critique]]] = []

    def rate(rated: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        calls.append(list(rated))
        return [float(at) for at in range(len(rated))]

    result = one(PAIR, in_order, CONFIG.override(k=8), rate=rate)
    ((first, *rest),) = calls
    assert first[0] is PAIR
    assert len(rest) == 7
    assert result.voters == (4, 5, 6, 7)  # k_meta = k / 2 by default
    assert one(PAIR, in_order, CONFIG.override(k=8, k_meta=1), rate=rate).voters == (7,)
    assert one(PAIR, in_order, CONFIG.override(k=1), rate=rate).voters == (0,)


def test_the_meta_rm_cannot_make_a_failure_vote() -> None:
    result = one(PAIR, scripted("no", "Scores: \\boxed{3, 3}"), rate=lambda rated: [9.0, 1.0, 9.0, 2.0])
    assert result.voters == (1, 3)
    assert result.totals == (6, 6)


def test_where_the_meta_rm_says_nothing_fewer_vote() -> None:
    assert one(PAIR, in_order, rate=lambda rated: [None, None, 0.1, None]).voters == (2,)
    silent = one(PAIR, in_order, rate=lambda rated: [None] * 4)
    assert (silent.voters, silent.scores, silent.n_valid) == ((), None, 4)


def test_a_meta_rm_with_another_number_of_scores_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        one(PAIR, in_order, rate=lambda rated: [1.0])


# --------------------------------------------------------------------------- templates


def test_the_users_own_template() -> None:
    own = "Look at this:\n{conversation}\n{extras}{responses}\nScores: {example}"
    seen: list[str] = []

    def reading(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        for index, prompt in enumerate(prompts):
            seen.append(prompt.messages[-1]["content"])
            yield index, Completion("Scores: \\boxed{3, 3}")

    request = Request("Why?", ["a", "b"], reference="R", principles="P")
    assert one(request, reading, CONFIG.override(template=own)).scores == (3.0, 3.0)
    assert all(text.startswith("Look at this:\nWhy?\n") and "\nR\n" in text and "\nP\n" in text for text in seen)


@pytest.mark.parametrize(("name", "shown"), [("llm-as-a-judge", "llm-as-a-judge"), ("meta-rm", "meta-rm")])
def test_a_template_without_scores_is_refused_at_once(name: str, shown: str) -> None:
    with pytest.raises(InvalidInput, match=f"template: '{shown}' asks for no scores"):
        score([PAIR], in_order, CONFIG.override(template=name))


def test_an_unknown_template_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="template: 'deepsek' is unknown"):
        score([PAIR], in_order, CONFIG.override(template="deepsek"))


def test_each_template_has_its_own_range() -> None:
    assert score_range("deepseek-grm-single") == (0, 1)
    assert {score_range(name) for name in TEMPLATES if name.startswith(("compact", "deepseek-grm-c"))} == {(1, 10)}
    config = CONFIG.override(template="deepseek-grm-single", k=2)
    result = one(Request("q", ["a"]), scripted("Scores: \\boxed{1}", "Scores: \\boxed{2}"), config)
    assert (result.scores, result.outcomes) == ((1.0,), {"ok": 1, "out_of_range": 1})
