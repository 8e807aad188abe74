# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""Rule-based reinforcement learning of a judge: GRPO with +1 for a correct judgement and -1 for any other.

    python recipes/grpo/train.py --config recipes/grpo/smoke.yaml
    python recipes/grpo/train.py --config recipes/grpo/smollm2-135m.yaml --model runs/rft --rows rows.jsonl

SPCT's second stage (arXiv 2504.02495, section 3.2, Eq 11): no format reward, a KL term towards the start, responses in
a fresh order for each rollout group. Rollouts come from the transformers engine, which reads a prompt once for all its
G samples; `use_vllm: true` takes them from vLLM (`vllm_mode: colocate` or `server`). Every key of the YAML can be
overridden on the command line, and a run that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from modeling_grm.collapse import CollapseGuard
from modeling_grm.data.filters import judgeable
from modeling_grm.data.groups import rollout_groups
from modeling_grm.data.preference import Preference, Report
from modeling_grm.data.reading import DataArguments, training_items
from modeling_grm.generation_grm import check_length, encode
from modeling_grm.prompts_grm import render
from modeling_grm.recipes import go_on, script
from modeling_grm.rewards import spct_reward
from modeling_grm.shared_passes import trainer_class
from modeling_grm.trainable import Prepared, prepared, save_judge, with_weights
from modeling_grm.types_grm import InvalidInput


@dataclass
class RecipeArguments(DataArguments):
    """Who is trained, and how it is asked; which rows: see `DataArguments`.

    Args:
        model: the judge to start from: Hub id, folder or LoRA adapter; the embedded judge if left out.
        template: of items with two or more responses; the judge's own if left out.
        single_template: of items with one.
        lora_r: rank of a fresh adapter on every linear layer; 0 trains all weights (an adapter goes on as it is).
        rollout_engine: transformers (one prefill a group) or trainer (TRL's own generate); not asked with use_vllm.
        shared_passes: read a prompt once for all its rollouts in the forward and backward passes too, where the model's
            attention allows it.
        patience: logs that a sign of collapse must stand in before the run is stopped.
    """

    model: str | None = None
    template: str | None = None
    single_template: str = "deepseek-grm-single"
    lora_r: int = 0
    rollout_engine: str = "transformers"
    shared_passes: bool = True
    patience: int = 20


@dataclass
class SPCTConfig(GRPOConfig):
    """TRL's arguments with the paper's values where it states them (27B: G = 4, beta 0.08)."""

    loss_type: str = "grpo"
    beta: float = 0.08
    num_generations: int = 4


ENGINES = ("transformers", "trainer")


def rollout_func(args: RecipeArguments, config: SPCTConfig) -> Any:
    """What makes the rollouts; None leaves it to the trainer."""
    if args.rollout_engine not in ENGINES:
        raise InvalidInput(f"rollout_engine: {args.rollout_engine!r} is unknown; give one of {', '.join(ENGINES)}")
    if config.use_vllm or args.rollout_engine == "trainer":
        return None
    from modeling_grm.rollouts import Rollouts

    return Rollouts()


def fitting(items: list[Preference], args: RecipeArguments, room: Any, report: Report) -> list[Preference]:
    """Items that leave room for a rollout.

    Raises:
        InvalidInput: there are none.
    """
    kept = list(judgeable(items, room, str(args.template), args.single_template, report))
    if not kept:
        raise InvalidInput(f"rows: none left to train on: {json.dumps(report.to_dict())}")
    return kept


def room_for(judge: Prepared, config: SPCTConfig) -> Any:
    """Refuses an item whose prompt leaves no room for a rollout."""
    new = int(config.max_completion_length or 0)

    def check(item: Preference, template: str) -> None:
        messages = render(item.request, range(item.request.n), template)
        check_length(len(encode(judge.tokenizer, messages)), new, judge.context)

    return check


def passes(config: SPCTConfig, items: int) -> int:
    """How often each item is seen."""
    if config.max_steps <= 0:
        return max(1, round(config.num_train_epochs))
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size
    groups = config.max_steps * batch // config.num_generations
    return max(1, -(-groups // items))


def build_dataset(items: list[Preference], args: RecipeArguments, config: SPCTConfig) -> Dataset:
    """One row a rollout group."""
    names = {"template": str(args.template), "single_template": args.single_template}
    return Dataset.from_list(list(rollout_groups(items, passes(config, len(items)), seed=config.seed, **names)))


def main(args: RecipeArguments, config: SPCTConfig) -> None:
    """Train, and leave the judge in `output_dir`."""
    rollouts = rollout_func(args, config)
    report, said = Report(), dict[str, Any]()
    items = training_items(args, report, said)
    found = prepared(args.model, template=args.template)
    args.template = found.settings.template
    items = fitting(items, args, room_for(found, config), report)
    judge = with_weights(found, args.lora_r, config.model_init_kwargs)
    said |= {"judge": judge.name, "items": len(items), "passes": passes(config, len(items)), **report.to_dict()}
    print(json.dumps(said), flush=True)
    rows = build_dataset(items, args, config)
    config.model_init_kwargs, config.num_train_epochs = None, 1  # both are applied: the rows hold all passes
    guard = CollapseGuard(args.patience)
    trainer = (trainer_class(judge.model) if args.shared_passes else GRPOTrainer)(
        judge.model,
        reward_funcs=[spct_reward],
        args=config,
        train_dataset=rows,
        processing_class=judge.tokenizer,
        peft_config=judge.peft,
        rollout_func=rollouts,
        callbacks=[guard],
    )
    go_on(trainer)
    save_judge(trainer, judge, Path(str(config.output_dir)))
    history = json.dumps(trainer.state.log_history, indent=1)
    (Path(str(config.output_dir)) / "log_history.json").write_text(history + "\n", encoding="utf-8")
    guard.check()


if __name__ == "__main__":
    script(main, RecipeArguments, SPCTConfig)
