"""The meta RM's two ways of training learn the same, whether a prompt is read once or for each judgement."""

from __future__ import annotations

import copy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainingArguments

from modeling_grm.classifiers import with_classifier_lora
from modeling_grm.meta_examples import Example
from modeling_grm.meta_training import (
    MOST,
    Collator,
    PaddedTrainer,
    SharedTrainer,
    collate_shared,
    padded_rows,
    ranked,
    shared_rows,
)
from modeling_grm.shared_prompts import STEP
from modeling_grm.toys import tiny_classifier

TOKENS = st.lists(st.integers(3, 60), min_size=1, max_size=9)


def examples_of(rows: list[list[int]]) -> list[Example]:
    return [Example(str(at), "item", "query", ids, at % 3 > 0) for at, ids in enumerate(rows)]


@given(st.lists(st.tuples(TOKENS, st.lists(TOKENS, min_size=1, max_size=12)), min_size=1, max_size=4))
def test_every_judgement_is_there_once_behind_its_own_tokens(groups: list[tuple[list[int], list[list[int]]]]) -> None:
    part = examples_of([prompt + rest for prompt, rests in groups for rest in rests])
    found = []
    for row in shared_rows(part, 64, pad=0):
        assert len(row["input_ids"]) == len(row["position_ids"])
        assert len(row["input_ids"]) % STEP == 0
        for end, (label,) in zip(row["ends"], row["labels"], strict=True):
            start, stop, first, last = next(p for p in row["parts"] if p[2] <= end < p[3])
            assert end == last - 1
            places = [*range(start, stop), *range(first, last)]
            assert [row["position_ids"][at] for at in places] == list(range(len(places)))
            found.append((tuple(row["input_ids"][at] for at in places), label))
    assert sorted(found) == sorted((tuple(one.ids), float(one.correct)) for one in part)


def test_more_judgements_of_a_prompt_than_a_group_holds() -> None:
    part = examples_of([[*range(3, 40), at] for at in range(MOST + 3)])
    (row,) = shared_rows(part, 10_000, pad=0)
    *parts, _ = row["parts"]  # the last one fills the row up
    assert sum(row["position_ids"][part[2]] == 0 for part in parts) == 2
    assert len(row["ends"]) == MOST + 3


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_both_ways_learn_the_same(tmp_path: Path, rank: int, weight: float) -> None:
    random = Random(1)
    prompts = [[random.randint(3, 200) for _ in range(size)] for size in (30, 12, 25)]
    rows = [
        [*prompt, *(random.randint(3, 200) for _ in range(random.randint(1, 9)))] for prompt in prompts for _ in "abc"
    ]
    rows += [list(rows[0]), [5, 6, 7]]  # word for word another one; and one that shares its prompt with none
    torch.manual_seed(0)
    model, tokenizer = tiny_classifier()
    model = with_classifier_lora(model, rank)
    part, pad = examples_of(rows), int(tokenizer.pad_token_id)
    part.append(Example("padded", "item", "query", [*rows[3], pad], True))  # read before it
    config = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", per_device_train_batch_size=1)
    (shared,) = shared_rows(part, 10_000, pad)
    assert len(shared["input_ids"]) < sum(map(len, rows))
    found = []
    for kind, batch in ((PaddedTrainer, Collator(pad)(padded_rows(part))), (SharedTrainer, collate_shared([shared]))):
        trainer = kind(copy.deepcopy(model), config)
        trainer.weight = weight
        loss = trainer.compute_loss(trainer.model, dict(batch))
        loss.backward()
        grads = {n: w.grad for n, w in trainer.model.named_parameters() if w.grad is not None and w.grad.abs().max()}
        found.append((loss.detach(), grads))
    (theirs, grads), (ours, our_grads) = found
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert set(our_grads) == set(grads)
    assert any("score" in name for name in grads)
    for name, grad in grads.items():
        torch.testing.assert_close(our_grads[name], grad, atol=1e-6, rtol=1e-3)


def test_an_items_prompts_stay_in_one_sequence() -> None:
    rows = [[100 + item, 7, order, 9, 9, last] for item in range(12) for order in (1, 2) for last in range(3, 6)]
    rows[:12] = [[100, 7, 8, 9, *row[:4], 1, row[-1]] for row in rows[:12]]  # two items that begin alike
    part = [Example(str(at), f"item {at // 6}", "query", ids, at % 2 > 0) for at, ids in enumerate(rows)]
    made = shared_rows(part, 60, pad=0, whole=True)
    assert len(made) > 2
    homes = [{row["input_ids"][at] for at, place in enumerate(row["position_ids"]) if place == 0} for row in made]
    shown = [home & set(range(102, 112)) for home in homes]
    assert sorted(item for home in shown for item in home) == [*range(102, 112)], "each in one sequence"
    assert all(sorted(row["items"]) == sorted([*range(len(row["items"]) // 6)] * 6) for row in made)
    assert sum(len(row["labels"]) for row in made) == len(part)


def test_ranked_compares_judgements_of_one_item() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, 5.0], requires_grad=True)
    correct, items = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0, 0, 0, 1])
    loss = ranked(logits, correct, items)
    expected = (torch.log1p(torch.exp(torch.tensor(-3.0))) + torch.log1p(torch.exp(torch.tensor(-1.5)))) / 2
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[3] == 0, "there is no wrong one of its item"
    assert ranked(logits[:1], correct[:1], items[:1]) == 0


def test_the_second_loss_is_added(tmp_path: Path) -> None:
    model, tokenizer = tiny_classifier()
    config: Any = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", per_device_train_batch_size=1)
    (row,) = shared_rows(examples_of([[3, 4, 5, 6], [3, 4, 5, 7], [3, 4, 5, 8]]), 64, tokenizer.pad_token_id)
    trainer, losses = SharedTrainer(model, config), []
    for weight in (0.0, 2.0):
        trainer.pairwise = weight
        loss, outputs = trainer.compute_loss(model, collate_shared([row]), return_outputs=True)
        losses.append(loss)
    second = ranked(outputs["logits"][:, 0], torch.tensor([0.0, 1.0, 1.0]), torch.zeros(3))
    torch.testing.assert_close(losses[1] - losses[0], 2 * second)


def test_batches_of_an_update_are_averaged(tmp_path: Path) -> None:
    rows = padded_rows(examples_of([[3, 4, 5, 6], [3, 4, 5, 7], [8, 9], [8, 10, 11]]))
    model, tokenizer = tiny_classifier()
    collate = Collator(int(tokenizer.pad_token_id))
    said = []
    for size in (4, 1):
        config = TrainingArguments(
            str(tmp_path / str(size)), use_cpu=True, report_to="none", max_steps=1, logging_steps=1, save_strategy="no",
            per_device_train_batch_size=size, gradient_accumulation_steps=4 // size,
        )  # fmt: skip
        trainer = PaddedTrainer(copy.deepcopy(model), config, train_dataset=rows, data_collator=collate)
        trainer.train()
        said.append(next(log for log in trainer.state.log_history if "loss" in log))
    once, four = said
    assert four["loss"] == pytest.approx(once["loss"], rel=1e-3)
    assert four["grad_norm"] == pytest.approx(once["grad_norm"], rel=1e-3)


def test_logits_are_one_a_judgement(tmp_path: Path) -> None:
    model, tokenizer = tiny_classifier()
    config: Any = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", per_device_train_batch_size=1)
    (row,) = shared_rows(examples_of([[3, 4, 5, 6], [3, 4, 5, 7]]), 64, tokenizer.pad_token_id)
    _, outputs = SharedTrainer(model, config).compute_loss(model, collate_shared([row]), return_outputs=True)
    assert outputs["logits"].shape == (2, 1)
