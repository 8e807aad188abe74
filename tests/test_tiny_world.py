"""The miniature's world: its judgements are read by the suite's own parser, and the truth is where it says."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
import torch

from modeling_grm.data.spct import correct
from modeling_grm.generation_grm import encode
from modeling_grm.parsing_grm import parse
from modeling_grm.prompts_grm import render
from modeling_grm.types_grm import Completion, Outcome, Request

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "tiny"


@pytest.fixture(scope="module")
def world():
    sys.path.insert(0, str(RECIPE))
    try:
        import world

        yield world
    finally:
        sys.path.remove(str(RECIPE))
        sys.modules.pop("world", None)


def judged(world, row, steps: list[str], order: list[int]) -> tuple[Outcome, bool]:
    critique = parse(Completion(world.judgement(row, steps, order)), order)
    return critique.outcome, correct(critique.scores, row["best"], None)


def test_who_works_the_answer_out_is_correct_in_every_order(world):
    random = Random(0)
    for row in world.items(0, 300):
        order = random.sample(range(len(row["responses"])), len(row["responses"]))
        assert judged(world, row, row["meta"]["steps"], order) == (Outcome.OK, True)


def test_the_teacher_is_careless_but_readable(world):
    random, rows = Random(1), list(world.items(1, 2_000))
    found = [judged(world, row, world.careless(random, row), list(range(len(row["responses"])))) for row in rows]
    assert {outcome for outcome, _ in found} == {Outcome.OK}
    assert 0.55 < sum(right for _, right in found) / len(rows) < 0.65


def test_items_are_distinct_and_known_by_their_seed(world):
    rows = list(world.items(2, 500))
    assert len({row["id"] for row in rows}) == 500
    assert list(world.items(2, 500)) == rows
    rest = list(world.items(2, 100, {row["id"] for row in rows[:400]}))
    assert not {row["id"] for row in rest} & {row["id"] for row in rows[:400]}


def test_every_phrase_is_one_token_and_texts_come_back_whole(world):
    tokenizer = world.tokenizer()
    for phrase in world.PHRASES:
        assert len(tokenizer(phrase, add_special_tokens=False)["input_ids"]) == 1
    row = next(iter(world.items(3, 1)))
    text = world.judgement(row, row["meta"]["steps"], [0, 1])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(ids) < 64
    prompt = render(Request(row["conversation"], row["responses"]), range(len(row["responses"])), world.TEMPLATE)
    assert len(encode(tokenizer, prompt)) < 64


def test_a_place_and_a_sign_begin_as_their_sum(world):
    tokenizer = world.tokenizer()
    embeddings = torch.randn(len(tokenizer), 8)
    before = embeddings.clone()
    world.compose(embeddings, tokenizer)
    a, b, four, marked = (tokenizer.convert_tokens_to_ids(word) for word in ("a", "b", "4", "b4"))
    assert torch.equal(embeddings[marked], before[b] + before[four])
    assert torch.equal(embeddings[[a, b, four]], before[[a, b, four]])


def test_who_was_told_the_best_response_names_it_and_is_never_wrong(world):
    random, rows = Random(4), list(world.items(4, 2_000))
    told = right = 0
    for row in rows:
        shown = world.demonstration(random, row, told=0.1)
        (said,), (asked,) = shown["completion"], shown["prompt"]
        text, _, number = asked["content"].partition("\n\nThe best response is: Response ")
        if number:
            responses = text.split("]\n")
            assert responses[2 * int(number) - 1].startswith(row["responses"][row["best"]])
            scores = [int(score) for score in said["content"].partition("{")[2].strip("}").split(", ")]
            right += scores.index(max(scores)) + 1 == int(number) and scores.count(max(scores)) == 1
            told += 1
    assert 0.08 < told / len(rows) < 0.12
    assert right == told


def test_a_hint_is_a_token_where_there_are_hints(world):
    hint = "\n\nThe best response is: Response "
    assert len(world.tokenizer(hints=True)(hint, add_special_tokens=False)["input_ids"]) == 1
    assert len(world.tokenizer(hints=True)) == len(world.tokenizer()) + 1
