"""Rollouts for TRL: the sampled tokens themselves, the model left as it was, seeds that a resumed run finds again."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM
from trl import GRPOConfig

from modeling_grm.generation_grm import encode
from modeling_grm.rollouts import Rollouts, rollout_seed, writer
from modeling_grm.shared_passes import trainer_class
from modeling_grm.toys import tiny_judge, toy_folder
from modeling_grm.types_grm import InvalidInput

PROMPTS = [[{"role": "user", "content": f"Judge {at // 4}"}] for at in range(8)]


@pytest.fixture(scope="module")
def judge():
    return tiny_judge()


def trainer(judge, step: int = 0, **changes):
    settings = {
        "seed": 0, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_completion_length": 12,
        "ds3_gather_for_generation": True, "gradient_checkpointing_kwargs": None,
        "bf16": False,
    }  # fmt: skip
    model, tokenizer = judge
    return SimpleNamespace(
        model_wrapped=model,
        accelerator=Accelerator(cpu=True),
        processing_class=tokenizer,
        state=SimpleNamespace(global_step=step),
        args=SimpleNamespace(**settings | changes),
    )


def test_prompts_are_the_judges_own_and_completions_what_was_sampled(judge):
    made = Rollouts()(PROMPTS, trainer(judge))
    assert made["prompt_ids"] == [encode(judge[1], prompt) for prompt in PROMPTS]
    assert made["logprobs"] is None
    for ids in made["completion_ids"]:
        assert 1 <= len(ids) <= 12
        assert len(ids) == 12 or ids[-1] == judge[1].eos_token_id
        assert judge[1].eos_token_id not in ids[:-1]
    assert len(set(map(tuple, made["completion_ids"][:4]))) > 1


def test_greedy_rollouts_are_generates_own(judge):
    model, tokenizer = judge
    made = Rollouts()(PROMPTS[:1], trainer(judge, temperature=0.0))
    ids = torch.tensor([encode(tokenizer, PROMPTS[0])])
    whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    assert made["completion_ids"][0] == whole[0, ids.shape[1] :].tolist()


def test_in_bf16_a_merged_copy_writes_and_the_model_stays_as_it_was(judge):
    """Greedy, so that what was sampled is what the merged weights say in that dtype."""
    tokenizer = judge[1]
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(judge[0]), lora)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    made = Rollouts()(PROMPTS[:1], trainer((model, tokenizer), temperature=0.0, bf16=True))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    merged = copy.deepcopy(model).merge_and_unload().to(torch.bfloat16)
    assert made == Rollouts()(PROMPTS[:1], trainer((merged, tokenizer), temperature=0.0))
    assert made != Rollouts()(PROMPTS[:1], trainer((judge[0], tokenizer), temperature=0.0))


def test_a_trainers_own_forward_is_not_copied(tmp_path: Path) -> None:
    """It would call the model that was copied, with its autocast."""
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model, tokenizer = LlamaForCausalLM.from_pretrained(toy_folder()), tiny_judge()[1]
    config = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", bf16=True, beta=0.1, num_generations=2,
        per_device_train_batch_size=2, gradient_checkpointing=False,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": PROMPTS[0]}] * 2)
    made = trainer_class(model)(
        model=model, reward_funcs=[lambda completions, **_: [0.0] * len(completions)], args=config,
        train_dataset=rows, processing_class=tokenizer, peft_config=lora,
    )  # fmt: skip
    made.model = made.accelerator.prepare(made.model)
    trained = made.accelerator.unwrap_model(made.model)
    written = writer(trained, bf16=True)
    assert "forward" in trained.get_base_model().__dict__
    assert "forward" not in written.__dict__
    ids = torch.tensor([[5, 6, 7]])
    logits = written(ids).logits
    assert logits.dtype == torch.bfloat16
    with torch.no_grad():
        for weight in trained.parameters():
            weight.zero_()
    assert torch.equal(written(ids).logits, logits)


def test_without_bf16_the_model_itself_writes(judge):
    assert writer(judge[0], bf16=False) is judge[0]
    lowered = copy.deepcopy(judge[0]).to(torch.bfloat16)
    assert writer(lowered, bf16=True) is lowered


def test_the_same_step_gives_the_same_rollouts_and_another_step_others(judge):
    first, again, later = (Rollouts()(PROMPTS, trainer(judge, step))["completion_ids"] for step in (3, 3, 4))
    assert first == again
    assert first != later


def test_the_model_goes_on_training(judge):
    judge[0].train()
    Rollouts()(PROMPTS[:1], trainer(judge))
    assert judge[0].training
    judge[0].eval()


def test_a_prompt_that_does_not_fit_is_refused_by_its_counts(judge):
    with pytest.raises(InvalidInput, match="context"):
        Rollouts()([[{"role": "user", "content": "x" * 5_000}]], trainer(judge))


def test_seeds_differ_by_step_process_and_place():
    seeds = {rollout_seed(0, step, process, place) for step in range(3) for process in range(3) for place in range(9)}
    assert len(seeds) == 81
    assert all(0 <= seed < 2**31 for seed in seeds)
