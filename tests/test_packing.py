"""Packed rows: every example learns what it would alone, and what a place is asked instead of its next token."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny import tiny_model
from transformers import TrainingArguments

from modeling_grm.packing import PackedTrainer, collate, join, pack

SIZE = 64


def example(random: Random, length: int, asked: bool) -> dict[str, list[Any]]:
    ids = [random.randint(3, 60) for _ in range(length)]
    weights = [0.0] * (length // 2) + [random.choice([1.0, 4.0]) for _ in range(length - length // 2)]
    return {"input_ids": ids, "weights": weights, "asked": [(0, 7, 3.0)] if asked else []}


@given(st.lists(st.integers(1, SIZE), min_size=1, max_size=30))
def test_groups_hold_each_example_once_and_fit(lengths: list[int]) -> None:
    groups = pack(lengths, SIZE)
    assert sorted(at for group in groups for at in group) == list(range(len(lengths)))
    assert all(sum(lengths[at] for at in group) <= SIZE for group in groups)


@given(st.integers(0, 10_000), st.lists(st.integers(2, 20), min_size=1, max_size=3))
def test_each_place_learns_its_own_next_token(seed: int, lengths: list[int]) -> None:
    random = Random(seed)
    examples = [example(random, length, asked=at == 1) for at, length in enumerate(lengths)]
    row = join(examples, SIZE, pad=0)
    assert {len(row[name]) for name in ("input_ids", "labels", "weights", "position_ids")} == {SIZE}
    assert row["borders"][-1] == SIZE
    for start, one in zip(row["borders"], examples, strict=False):
        ids, asked = one["input_ids"], {place: (token, weight) for place, token, weight in one["asked"]}
        for at in range(len(ids)):
            following = (ids[at + 1], one["weights"][at + 1]) if at + 1 < len(ids) else (None, 0.0)
            token, weight = asked.get(at, following)
            assert row["weights"][start + at] == weight
            assert weight == 0 or row["labels"][start + at] == token
            assert row["position_ids"][start + at] == at


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_loss_is_that_of_the_examples_one_by_one(tmp_path: Path) -> None:
    random = Random(3)
    examples = [example(random, length, asked) for length, asked in ((9, False), (14, True), (20, True))]
    plain = tiny_model()
    total = weighed = 0.0
    for one in examples:
        logits = plain(torch.tensor([one["input_ids"]])).logits[0].log_softmax(-1)
        learnt = {at: (token, one["weights"][at + 1]) for at, token in enumerate(one["input_ids"][1:])}
        learnt |= {place: (token, weight) for place, token, weight in one["asked"]}
        total += sum(-float(logits[at, token].detach()) * weight for at, (token, weight) in learnt.items())
        weighed += sum(weight for _, weight in learnt.values())
    model = get_peft_model(tiny_model(), LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    model.get_base_model().set_attn_implementation("segments")
    trainer = PackedTrainer(model, TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"))
    loss = trainer.compute_loss(model, collate([join(examples, SIZE, pad=0)]))
    assert float(loss.detach()) == pytest.approx(total / weighed, rel=1e-4)
