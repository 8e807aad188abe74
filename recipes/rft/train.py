# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""Rejective fine-tuning: a base model, or a judge, learns the judgements that rejective sampling kept.

    python recipes/rft/train.py --config recipes/rft/smoke.yaml
    python recipes/rft/train.py --config recipes/rft/smollm2-135m.yaml --dataset runs/mine/dataset --output_dir runs/rft

SPCT's first stage (arXiv 2504.02495, section 3.2): supervised fine-tuning by TRL's `SFTTrainer`, the loss on the
judgement only, with general instruction data mixed in. Every key of the YAML can be overridden on the command line, and
a run that was stopped goes on from its last checkpoint. `output_dir` gets a checkpoint, or an adapter, that knows how
it judges: `grm score --model runs/rft`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import concatenate_datasets
from trl import SFTConfig, SFTTrainer

from modeling_grm.data.tuning import drawn, read_answers, template_of, to_examples
from modeling_grm.recipes import go_on, script
from modeling_grm.trainable import Prepared, prepared, save_judge, with_weights
from modeling_grm.types_grm import InvalidInput


@dataclass
class RecipeArguments:
    """What is trained on what.

    Args:
        dataset: judgements with prompt and completion: a folder, a Hub id or a file; `out/dataset` of recipes/sample.
        split: of it and of the general data.
        general: instruction data to mix in (messages, or prompt and completion): folders, Hub ids or files.
        general_ratio: so many rows of it for each judgement, where there are as many; the paper has 5.75.
        model: Hub id, folder or LoRA adapter; the embedded judge if left out; `toy` is made on the fly.
        template: of the judgements' prompts, by name or as its whole text; found in the prompts if left out.
        lora_r: rank of a fresh adapter on every linear layer; 0 trains all weights.
    """

    dataset: str = "runs/sample/dataset"
    split: str = "train"
    general: list[str] = field(default_factory=list)
    general_ratio: float = 1.0
    model: str | None = None
    template: str | None = None
    lora_r: int = 0


def check(args: RecipeArguments, config: SFTConfig) -> None:
    """Refuse settings that no run could use."""
    if not 0 <= args.general_ratio < float("inf"):
        raise InvalidInput(f"general_ratio: {args.general_ratio!r} is not usable; give a number, 0 or more")
    if args.lora_r and config.chat_template_path:
        raise InvalidInput("lora_r: an adapter is used with its base's tokenizer, which has no chat template; give 0")


def end_turns(judge: Prepared, config: SFTConfig) -> None:
    """A turn ends as the arguments say, else as the tokenizer says; the trained model stops there too."""
    config.eos_token = config.eos_token or judge.tokenizer.eos_token
    if config.eos_token not in judge.tokenizer.get_vocab():
        raise InvalidInput(f"eos_token: {config.eos_token!r} is no token of {judge.name!r}; give one of its vocabulary")
    judge.tokenizer.eos_token = config.eos_token


def build_dataset(rows: Any, args: RecipeArguments, config: SFTConfig, judge: Prepared) -> tuple[Any, dict[str, Any]]:
    """The examples, and what became of the rows."""
    fit = {"tokenizer": judge.tokenizer, "max_length": config.max_length, "num_proc": config.dataset_num_proc}
    examples, left = to_examples(rows, **fit)
    said = {"template": judge.settings.template, "judgements": len(examples), "general": 0, "left_out": dict(left)}
    wanted = round(args.general_ratio * len(examples))
    if not args.general or not wanted:
        return examples, said
    sources = [read_answers(name, args.split) for name in args.general]
    mixed, lost = to_examples(drawn(sources, wanted, config.seed), **fit)
    said |= {"general": len(mixed), "left_out": dict(left + lost)}
    return concatenate_datasets([examples, mixed]), said


def main(args: RecipeArguments, config: SFTConfig) -> None:
    """Train, and leave the judge in `output_dir`."""
    check(args, config)
    with config.main_process_first(desc="reading the rows"):
        rows = read_answers(args.dataset, args.split)
        template = template_of(rows["prompt"], args.template)
        judge = prepared(args.model, template=template, chat_template=config.chat_template_path)
        end_turns(judge, config)
        examples, said = build_dataset(rows, args, config, judge)
    if config.process_index == 0:
        print(json.dumps({"model": judge.name, **said}, ensure_ascii=False), flush=True)
    student = with_weights(judge, args.lora_r, config.model_init_kwargs)
    config.chat_template_path = config.model_init_kwargs = None  # both are applied
    trainer = SFTTrainer(
        student.model, config, train_dataset=examples, processing_class=judge.tokenizer, peft_config=student.peft
    )
    go_on(trainer)
    save_judge(trainer, judge, Path(str(config.output_dir)))


if __name__ == "__main__":
    script(main, RecipeArguments, SFTConfig)
