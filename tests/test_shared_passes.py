"""Passes that read a prompt once for all its rollouts give what TRL's own give."""

from __future__ import annotations

import copy
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from trl import GRPOConfig, GRPOTrainer

from modeling_grm import shared_passes
from modeling_grm.shared_passes import SharedPasses, side_by_side, trainer_class
from modeling_grm.shared_prompts import STEP, laid_out, shares
from modeling_grm.toys import tiny_judge, toy_folder


@pytest.fixture
def judge() -> tuple[Any, Any]:
    """The toy with a folder, from which TRL takes its reference model."""
    return LlamaForCausalLM.from_pretrained(toy_folder()), tiny_judge()[1]


TOKENS = st.lists(st.integers(3, 60), min_size=1, max_size=9)


@given(st.lists(st.tuples(TOKENS, st.lists(TOKENS, min_size=1, max_size=4)), min_size=1, max_size=4))
def test_every_rollout_stands_behind_its_prompt(groups: list[tuple[list[int], list[list[int]]]]) -> None:
    prompts = [prompt for prompt, rollouts in groups for _ in rollouts]
    rollouts = [rollout for _, some in groups for rollout in some]
    found = laid_out(prompts, rollouts)
    found.fill()
    assert len(found.ids) == len(found.positions) == len(found.labels)
    assert len(found.ids) % STEP == 0
    assert [part[2] for part in found.parts] == [0, *(part[3] for part in found.parts[:-1])]
    assert [found.ids[at] for at in found.places] == [token for rollout in rollouts for token in rollout]
    assert [at for at, label in enumerate(found.labels) if label != -100] == found.places
    behind = [part for part in found.parts if any(part[2] <= at < part[3] for at in found.places)]
    for prompt, rollout, (start, end, first, last) in zip(prompts, rollouts, behind, strict=True):
        assert found.ids[start:end] + found.ids[first:last] == prompt + rollout
        assert found.positions[start:end] + found.positions[first:last] == list(range(len(prompt + rollout)))


def _batch(seed: int, pad: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Two prompts with three rollouts each and one with one, padded as TRL pads them."""
    random = Random(seed)
    prompts = [[random.randint(3, 200) for _ in range(size)] for size in (random.randint(1, 40), 7, 23)]
    rows = [
        (prompts[at], [random.randint(3, 200) for _ in range(random.randint(1, 12))]) for at in (0, 0, 0, 1, 1, 1, 2)
    ]
    wide, length = max(len(prompt) for prompt, _ in rows), max(len(rollout) for _, rollout in rows)
    ids = torch.full((len(rows), wide + length), pad)
    mask = torch.zeros_like(ids)
    for at, (prompt, rollout) in enumerate(rows):
        ids[at, wide - len(prompt) : wide + len(rollout)] = torch.tensor(prompt + rollout)
        mask[at, wide - len(prompt) : wide + len(rollout)] = 1
    return ids, mask, length


def _trainer(kind: type[GRPOTrainer], folder: Path, model: Any, tokenizer: Any, **changes: Any) -> Any:
    config = GRPOConfig(
        output_dir=str(folder), use_cpu=True, report_to="none", temperature=0.7, beta=0.1, num_generations=2,
        per_device_train_batch_size=2, bf16=False, max_completion_length=8,
        gradient_checkpointing=changes.pop("gradient_checkpointing", False),
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": "a"}]}] * 2)
    return kind(
        model=model, reward_funcs=[lambda completions, **_: [0.0] * len(completions)], args=config,
        train_dataset=rows, processing_class=tokenizer, **changes,
    )  # fmt: skip


def _passes(trainer: Any, batch: tuple[torch.Tensor, torch.Tensor, int], **how: Any) -> tuple[Any, Any, list[Any]]:
    """Log-probabilities, entropies, and the gradients of their sum's square."""
    ids, mask, length = batch
    trainer.model.train()
    trainer.model.zero_grad()
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, length, compute_entropy=True, **how
    )
    (logps**2).sum().backward()
    grads = [weight.grad.clone() for weight in trainer.model.parameters() if weight.grad is not None]
    return logps.detach(), entropies, grads


@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}, {"peft_config": "lora"}])
@pytest.mark.parametrize("size", [None, 3])
def test_they_are_trls_own_up_to_rounding(
    tmp_path: Path, judge: Any, changes: dict[str, Any], size: int | None
) -> None:
    model, tokenizer = judge
    if changes.get("peft_config"):
        lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
        changes = {"peft_config": lora}
    batch = _batch(3, tokenizer.pad_token_id)
    found = []
    for kind in (GRPOTrainer, SharedPasses):
        torch.manual_seed(0)
        trainer = _trainer(kind, tmp_path, copy.deepcopy(model), tokenizer, **changes)
        found.append(_passes(trainer, batch, batch_size=size))
    (theirs, entropies, grads), (ours, our_entropies, our_grads) = found
    wanted = batch[1][:, -batch[2] :].bool()
    torch.testing.assert_close(ours[wanted], theirs[wanted], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(our_entropies[wanted], entropies[wanted], atol=1e-5, rtol=1e-4)
    assert not ours[~wanted].any()
    assert len(grads) == len(our_grads) > 0
    for mine, other in zip(our_grads, grads, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def test_the_rows_of_a_prompt_come_together_within_an_update() -> None:
    prompts = [2, 1, 2, 3, 1, 2, 1, 1]
    rows = {"prompt_ids": torch.tensor(prompts)[:, None], "advantages": torch.arange(8.0), "whole": torch.tensor(5)}
    cut = [
        {**{name: value[at : at + 2] for name, value in rows.items() if value.ndim}, "whole": rows["whole"],
         "texts": [f"t{row}" for row in (at, at + 1)], "none": None} for at in range(0, 8, 2)
    ]  # fmt: skip
    found = side_by_side(cut, 2)
    assert [batch["prompt_ids"][:, 0].tolist() for batch in found] == [[1, 2], [2, 3], [1, 1], [1, 2]]
    assert [batch["advantages"].tolist() for batch in found] == [[1, 0], [2, 3], [4, 6], [7, 5]]
    assert [batch["texts"] for batch in found] == [["t1", "t0"], ["t2", "t3"], ["t4", "t6"], ["t7", "t5"]]
    assert all(batch["none"] is None and batch["whole"] == 5 for batch in found)


@pytest.mark.parametrize(("every", "kept"), [(2, False), (4, False), (8, False), (6, True)])
def test_rows_stay_where_an_update_begins_within_what_is_held(
    monkeypatch: pytest.MonkeyPatch, every: int, kept: bool
) -> None:
    """Updates of four batches, `every` of which are sampled at once."""
    held = [{"prompt_ids": torch.tensor([[at % 2], [1 - at % 2]])} for at in range(every)]
    trainer = object.__new__(SharedPasses)
    trainer._buffered_inputs, trainer._step = None, 1
    trainer.args = SimpleNamespace(gradient_accumulation_steps=4, steps_per_generation=every)

    def theirs(self: Any, batch: Any) -> Any:
        self._buffered_inputs = held
        return held[1 % every]

    monkeypatch.setattr(GRPOTrainer, "_prepare_inputs", theirs)
    assert (trainer._prepare_inputs({}) is held[1]) is kept
    assert (trainer._buffered_inputs is held) is kept
    assert trainer._prepare_inputs({}) is not None


def test_training_reads_each_prompt_once(tmp_path: Path, judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL shuffles the rollouts; each batch still has whole groups."""
    model, tokenizer = judge
    seen: list[list[list[int]]] = []

    def watched(prompts: Any, rollouts: Any) -> Any:
        seen.append(prompts)
        return laid_out(prompts, rollouts)

    monkeypatch.setattr(shared_passes, "laid_out", watched)
    config = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", beta=0.0, num_generations=4, max_steps=2,
        per_device_train_batch_size=4, gradient_accumulation_steps=4, bf16=False, max_completion_length=4,
        gradient_checkpointing=False, save_strategy="no",
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": f"Judge {at}"}]} for at in range(8)])
    SharedPasses(
        model=model, reward_funcs=[lambda completions, **_: [float(len(str(one))) for one in completions]],
        args=config, train_dataset=rows, processing_class=tokenizer,
    ).train()  # fmt: skip
    assert len(seen) == 8
    assert all(len(prompts) == 4 and len(set(map(tuple, prompts))) == 1 for prompts in seen)


def test_a_reference_model_has_no_entropies(tmp_path: Path, judge: Any) -> None:
    model, tokenizer = judge
    trainer = _trainer(SharedPasses, tmp_path, copy.deepcopy(model), tokenizer)
    ids, mask, length = _batch(1, tokenizer.pad_token_id)
    logps, entropies, aux = trainer._get_per_token_logps_and_entropies(trainer.ref_model, ids, mask, length)
    assert logps.shape == (7, length)
    assert entropies is None
    assert aux is None


def test_the_model_still_generates_as_before(tmp_path: Path, judge: Any) -> None:
    model, tokenizer = judge
    ids = torch.tensor([[5, 6, 7, 8]])
    how = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 8, "do_sample": False}
    before = model.generate(ids, **how)
    trainer = _trainer(SharedPasses, tmp_path, copy.deepcopy(model), tokenizer)
    assert torch.equal(trainer.model.eval().generate(ids, **how), before)


@pytest.mark.parametrize(
    ("model", "plain"),
    [
        (tiny_judge()[0], True),
        (MistralForCausalLM(MistralConfig(hidden_size=32, num_hidden_layers=1, sliding_window=4, vocab_size=9)), False),
        (
            MistralForCausalLM(MistralConfig(hidden_size=32, num_hidden_layers=1, sliding_window=None, vocab_size=9)),
            True,
        ),
        (Gemma2ForCausalLM(Gemma2Config(hidden_size=8, num_hidden_layers=2, vocab_size=9, head_dim=4)), False),
    ],
)
def test_only_plain_attention_is_shared(model: Any, plain: bool) -> None:
    assert shares(model) is plain
    assert trainer_class(model) is (SharedPasses if plain else GRPOTrainer)
