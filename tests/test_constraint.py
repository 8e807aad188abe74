"""The scores line: what may stand in it, and that the transformers engine writes nothing else."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import ARCHITECTURES, tiny_model, tiny_tokenizer
from tiny_judge import byte_tokenizer, random_llama, tiny_judge

from modeling_grm.constraint_grm import ScoresLine
from modeling_grm.decoding_grm import decoder
from modeling_grm.generation_grm import TransformersGenerator
from modeling_grm.parsing_grm import opens_number, parse, scores_line_end
from modeling_grm.types_grm import Completion, InvalidInput, Outcome, Prompt

LINE = partial(ScoresLine, low=1, high=10)
lists = st.lists(st.integers(1, 10), min_size=1, max_size=6)


# --------------------------------------------------------------------------- the line


@given(lists)
def test_every_list_can_be_written_sign_by_sign(scores: list[int]) -> None:
    line, text = LINE(len(scores)), ", ".join(map(str, scores)) + "}"
    assert all(line.begins(text[:at]) for at in range(len(text) + 1))
    assert line.ends(text)
    assert not any(line.ends(text[:at]) for at in range(len(text)))
    assert re.fullmatch(line.regex, text)
    assert len(text) <= len(line.longest)


@given(st.text(alphabet="0123456789, }x", max_size=12), st.integers(1, 4))
def test_what_is_whole_is_what_the_expression_says(text: str, n: int) -> None:
    line = LINE(n)
    assert line.ends(text) == bool(re.fullmatch(line.regex, text))
    if line.begins(text):  # nothing legal leads nowhere
        assert any(line.begins(text + sign) for sign in "0123456789, }") or line.ends(text)


@given(lists)
def test_a_whole_line_parses(scores: list[int]) -> None:
    line = LINE(len(scores))
    text = "Analysis: cut off in the mid" + line.opening + ", ".join(map(str, scores)) + "}"
    judged = parse(Completion(text, constrained=True), range(len(scores)))
    assert judged.scores == tuple(scores)
    assert judged.constrained
    assert not line.needed(Completion(text))


@pytest.mark.parametrize(
    "text", ["", "Scores: 8", "Scores: \\boxed{8}", "Scores: \\boxed{8, 11}", "Scores: \\boxed{8,"]
)
def test_a_line_is_needed_where_nothing_can_be_read(text: str) -> None:
    assert LINE(2).needed(Completion(text))


# --------------------------------------------------------------------------- the engine


def engine(model: Any, tokenizer: Any, **settings: Any) -> TransformersGenerator:
    given: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 60, "stop": scores_line_end}
    return TransformersGenerator(model, tokenizer, **given | settings)


def asked(n: int, seed: int, text: str = "?") -> Prompt:
    return Prompt(({"role": "user", "content": text},), tuple(range(n)), seed)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_judge_that_says_nothing_readable_is_made_to(n: int) -> None:
    tokenizer = byte_tokenizer(lines=())
    model = random_llama(len(tokenizer), 512)
    free = dict(engine(model, tokenizer)(asked(n, seed) for seed in range(8)))
    assert all(parse(one, range(n)).outcome is not Outcome.OK for one in free.values())
    made = dict(engine(model, tokenizer, line=LINE)(asked(n, seed) for seed in range(8)))
    for one in made.values():
        assert parse(one, range(n)).outcome is Outcome.OK
        assert one.constrained
        assert not one.truncated
        assert one.completion_tokens <= 60
    assert len({one.text.rpartition("{")[2] for one in made.values()}) > 1


def test_a_readable_judgement_is_left_as_it_is() -> None:
    model, tokenizer = tiny_judge()
    budget = {"max_new_tokens": 400}
    free = dict(engine(model, tokenizer, **budget)(asked(2, seed) for seed in range(16)))
    made = dict(engine(model, tokenizer, line=LINE, **budget)(asked(2, seed) for seed in range(16)))
    readable = [at for at, one in free.items() if parse(one, range(2)).outcome is Outcome.OK]
    assert len(readable) > 4
    assert [made[at] for at in readable] == [free[at] for at in readable]
    assert all(parse(one, range(2)).outcome is Outcome.OK for one in made.values())


def test_scores_that_do_not_count_stay_and_a_line_follows() -> None:
    model, tokenizer = tiny_judge()
    budget = {"max_new_tokens": 400}
    free = dict(engine(model, tokenizer, **budget)(asked(2, seed) for seed in range(8)))
    readable = [at for at, one in free.items() if parse(one, range(2)).outcome is Outcome.OK]
    assert readable
    other = partial(ScoresLine, low=11, high=12)
    made = dict(engine(model, tokenizer, line=other, **budget)(asked(2, seed) for seed in range(8)))
    for at in readable:
        assert made[at].text.startswith(free[at].text)
        assert made[at].constrained
        assert parse(made[at], range(2), score_range=(11, 12)).outcome is Outcome.OK


def test_a_budget_without_room_is_refused() -> None:
    model, tokenizer = tiny_judge()
    with pytest.raises(InvalidInput, match=r"max_new_tokens: 20 has no room .* scores line of 2; give more than"):
        list(engine(model, tokenizer, line=LINE, max_new_tokens=20)([asked(2, 0)]))


def test_a_tokenizer_without_digits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no tokens for a list of scores"):
        list(engine(tiny_model(), tiny_tokenizer(), line=LINE)([asked(2, 0, "w1")]))


# --------------------------------------------------------------------------- how likely each score was


def test_where_a_number_may_begin() -> None:
    assert [opens_number("Scores: \\boxed{" + said) for said in ("", "8", "8,", "8, ", "8}", "x")] == [
        *(True, False, True, True, False, False)
    ]


def test_the_chances_are_the_models_own() -> None:
    """Against the model's forward pass over the whole text, both digits of a 10 included."""
    tokenizer = byte_tokenizer(lines=())
    model = random_llama(len(tokenizer), 512)
    model.lm_head.weight.data.mul_(8)
    settings = {"line": LINE, "max_new_tokens": len(LINE(2).opening) + len(LINE(2).longest) + 2}  # one free token
    made_all = [made for _, made in engine(model, tokenizer, **settings)(asked(2, seed) for seed in range(30))]
    plain = [made for made in made_all if made.text[0].isascii() and made.text[0].isprintable()]
    assert len(plain) > 5
    for made in plain:
        assert len(made.numbers) == 2
        for place, chances in made.numbers.items():
            assert opens_number(made.text[:place])
            own = own_chances(model, tokenizer, made.text[:place])
            assert {at: pytest.approx(one, abs=1e-5) for at, one in own.items()} == {at: chances[at] for at in own}
            assert sum(chances.values()) <= 1 + 1e-5


def own_chances(model: Any, tokenizer: Any, text: str) -> dict[int, float]:
    start = tokenizer("<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n" + text).input_ids

    def behind(ids: list[int]) -> Any:
        with torch.no_grad():
            return model(torch.tensor([ids])).logits[0, -1].float().softmax(-1)

    one, *_ = tokenizer.convert_tokens_to_ids(["1"])
    first, second = behind(start), behind([*start, one])
    digits = {str(digit): tokenizer.convert_tokens_to_ids(str(digit)) for digit in range(10)}
    chances = {int(sign): float(first[at]) for sign, at in digits.items()}
    further = sum(float(second[at]) for at in digits.values())
    if chances[1] > 0.01 * sum(chances.values()):
        chances |= {10: chances[1] * float(second[digits["0"]]), 1: chances[1] * (1 - further)}
    return chances


def test_an_expectation_needs_known_chances() -> None:
    text = "Scores: \\boxed{8, 3}"

    def expected(numbers: Any, **more: Any) -> Any:
        return parse(Completion(text, numbers=numbers, **more), (1, 0)).expected

    assert expected({15: {8: 0.5, 9: 0.5}, 18: {3: 0.75, 5: 0.25}}) == (3.5, 8.5)
    assert expected({15: {8: 0.5, 9: 0.5}}) is None
    assert expected({15: {8: 0.5, 9: 0.5}, 18: {3: 0.5, 50: 0.5}}) is None
    assert expected({15: {8: 0.5, 9: 0.5}, 18: {3: 0.5}}, constrained=True) == (3.0, 8.5)
    assert expected({}) is None


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_look_ahead_leaves_no_trace(name: str) -> None:
    model = tiny_model(name)
    kind = decoder(model)
    prompts = [[5, 6, 7, 8, 9], [5, 6, 7]]
    ours, other = kind(model, prompts, (0, 0, 1)), kind(model, prompts, (0, 0, 1))
    assert torch.equal(ours.start(), other.start())
    for tokens in (torch.tensor([10, 11, 12]), torch.tensor([13, 14, 15])):
        seen = ours.peek([2, 0], torch.tensor([20, 21]))
        assert torch.equal(ours.step(tokens), other.step(tokens))
    probe = kind(model, prompts, (0, 0, 1))
    probe.start()
    probe.step(torch.tensor([10, 11, 12]))
    assert torch.allclose(seen, probe.step(torch.tensor([21, 0, 20]))[[2, 0]], atol=1e-5)
