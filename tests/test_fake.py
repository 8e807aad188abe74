"""The public fake: what it says depends on the prompt only, and its failures are kept as errors."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from modeling_grm.backends.fake import Fake
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.constraint_grm import ScoresLine
from modeling_grm.parsing_grm import scores_line_end
from modeling_grm.scoring_grm import score
from modeling_grm.types_grm import Completion, InvalidInput, Outcome, Prompt, Request

FIRST, SECOND = "Scores: \\boxed{8, 3}", "Scores: \\boxed{2, 9}"


def prompts(items: int, k: int) -> list[Prompt]:
    return [
        Prompt(({"role": "user", "content": f"{item}"},), (0, 1), 10 * item + j, f"{item}", j)
        for item in range(items)
        for j in range(k)
    ]


def say(fake: Fake, asked: list[Prompt]) -> list[tuple[int, Completion]]:
    return list(fake.engine(GRMConfig(), stop=scores_line_end)(asked))


def test_sample_j_gets_completion_j_of_the_list() -> None:
    texts = [completion.text for _, completion in say(Fake([FIRST, SECOND, "none"]), prompts(2, 4))]
    assert texts == [FIRST, SECOND, "none", FIRST] * 2


def test_what_is_said_does_not_depend_on_what_was_asked_before() -> None:
    fake, asked = Fake([FIRST, SECOND]), prompts(3, 4)
    whole = [completion for _, completion in say(fake, asked)]
    assert [completion for _, completion in say(fake, asked[5:])] == whole[5:]


def test_a_function_sees_the_prompt() -> None:
    fake = Fake(lambda prompt: f"seed {prompt.seed}")
    assert [completion.text for _, completion in say(fake, prompts(1, 2))] == ["seed 0", "seed 1"]


def test_failures_are_errors() -> None:
    fake = Fake([RuntimeError("out of memory"), Completion("cut", truncated=True)])
    assert [completion for _, completion in say(fake, prompts(1, 2))] == [
        Completion("", error="RuntimeError: out of memory"),
        Completion("cut", truncated=True),
    ]


def test_a_text_ends_with_its_scores_line() -> None:
    assert say(Fake([FIRST + "\nI hope"]), prompts(1, 1))[0][1].text == FIRST


def test_prompts_are_read_one_by_one() -> None:
    endless: Iterator[Prompt] = (prompts(1, 1)[0] for _ in itertools.count())
    assert next(Fake([FIRST]).engine(GRMConfig(), stop=scores_line_end)(endless))[0] == 0


def test_a_delay_is_taken() -> None:
    began = time.monotonic()
    say(Fake([FIRST], delay=0.02), prompts(1, 3))
    assert time.monotonic() - began >= 0.06


def test_it_goes_all_the_way_to_a_result() -> None:
    engine = Fake([FIRST, RuntimeError("lost")]).engine(GRMConfig(), stop=scores_line_end)
    [result] = score([Request("Q?", ["a", "b"])], engine, GRMConfig(k=4))
    assert result.n_valid == 2
    assert result.outcomes == {Outcome.OK.value: 2, Outcome.ENGINE_ERROR.value: 2}


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(InvalidInput, match="completions: "):
        Fake([])
    with pytest.raises(InvalidInput, match="constrain: "):
        Fake([FIRST]).engine(GRMConfig(), stop=scores_line_end, line=lambda n: ScoresLine(n, 1, 10))
