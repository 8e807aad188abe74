# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""The embedded judge's cold start: a LoRA adapter on the contrast set, whose judgements are written by rule.

    python recipes/rft/contrast.py --config recipes/rft/contrast.yaml --data ../shared/data/train

Packed rows (`modeling_grm/packing.py`) make it several times as fast on a CPU as padded batches; `train.py` beside it
is the general way. Every key of the YAML can be overridden on the command line, and a run that was stopped goes on from
its last checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from random import Random
from typing import Any

from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import TrainingArguments

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.data.contrast.build import build
from modeling_grm.data.pools.entries import asked
from modeling_grm.data.pools.even import even_rows
from modeling_grm.data.tuning import read_dataset
from modeling_grm.embedded import base_model
from modeling_grm.first_reading_grm import LAST_DIGIT, SELF, check_closing, read_at
from modeling_grm.generation_grm import encode
from modeling_grm.loading import ADAPTER_SETTINGS
from modeling_grm.packing import PackedTrainer, collate, join, pack
from modeling_grm.parsing_grm import parse
from modeling_grm.prompts_grm import render
from modeling_grm.publishing.weights import write_json
from modeling_grm.recipes import go_on, script
from modeling_grm.types_grm import Completion, InvalidInput, Request


@dataclass
class RecipeArguments:
    """What is trained on what.

    Args:
        data: folder with the source files of the contrast set.
        rows: a dataset with a judgement to learn in the column `target` (recipes/data makes one), whose train split is
            learned instead of a contrast set built from `data`.
        examples: how many training rows to build, or to draw.
        balanced_by: a column of `rows`, of whose values equally many rows are drawn (fewer where there are fewer).
        shares: how many rows of each value instead, as `VALUE=WEIGHT`; 0 leaves it out.
        even: so many rows more, of two responses that their source rates alike (from `data`, to prompts of `rows`):
            both good and scored alike, or one made worse.
        template: prompt template of the judge.
        max_tokens: longer examples are left out.
        pack_tokens: tokens of one packed row, which is one step's batch.
        lora_r: rank of the adapter on every linear layer.
        prompt_weight: how much a token of the prompt counts beside one of a judgement; some keeps it from forgetting
            what other texts look like, of which it has to name words.
        verdict_weight: how much more a token of a verdict or score counts than another.
        early_weight: of each response's score, asked where the prompt has just shown the response (the digit is learnt
            there in the place of the next token), so that a judgement finds there what it needs, and the judge can be
            its own meta RM; 0 does not ask.
        init_adapter: an adapter's folder to go on from.
    """

    data: str = field(default="../shared/data/train")
    rows: str | None = None
    examples: int = 4000
    balanced_by: str | None = None
    shares: list[str] = field(default_factory=list)
    even: int = 0
    template: str = "compact"
    max_tokens: int = 900
    pack_tokens: int = 2048
    lora_r: int = 16
    prompt_weight: float = 0.0
    verdict_weight: float = 4.0
    early_weight: float = 0.0
    init_adapter: str | None = None


VERDICT = re.compile(r": [^:\n]{2,60}, \d+/10\.|=\S+ has \S+ (?:yes|no)\b|\\boxed\{[^}]*\}")


def check(args: RecipeArguments) -> None:
    """Refuse settings that no run could use."""
    if args.early_weight:
        check_closing(args.template, "early_weight")
    if args.shares and not args.balanced_by:
        raise InvalidInput(f"shares: {args.shares!r} are of a column's values; name the column with balanced_by")
    if args.even < 0 or (args.even and args.rows is None):
        raise InvalidInput(
            f"even: {args.even!r} is not usable; give a number of rows, and with rows a dataset of prompts"
        )


def token_weights(text: str, offsets: list[tuple[int, int]], verdict_weight: float) -> list[float]:
    """1 for each token of a judgement, `verdict_weight` for those of its verdicts and scores."""
    spans = [found.span() for found in VERDICT.finditer(text)]
    return [verdict_weight if any(a <= start < b for a, b in spans) else 1.0 for start, _ in offsets]


def asked_early(
    tokenizer: Any, prompt: list[int], text: str, n: int, args: RecipeArguments
) -> list[tuple[int, int, float]]:
    """Each response's score as one digit (9 for 10), where the prompt has just shown the response."""
    scores = parse(Completion(text), range(n)).scores or ()
    digits = [tokenizer(str(min(score, LAST_DIGIT)), add_special_tokens=False)["input_ids"][-1] for score in scores]
    pairs = zip(read_at(tokenizer, prompt, n, args.template), digits, strict=True)
    return [(place, digit, args.early_weight / len(some)) for some, digit in pairs for place in some]


def to_features(row: dict[str, Any], tokenizer: Any, args: RecipeArguments) -> dict[str, list[Any]]:
    """Token ids of prompt and judgement, and what each counts."""
    request = Request(row["conversation"], row["responses"])
    prompt = encode(tokenizer, render(request, range(request.n), args.template))
    text = row["target"]
    target = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    weights = token_weights(text, target["offset_mapping"], args.verdict_weight)
    return {
        "asked": asked_early(tokenizer, prompt, text, request.n, args) if args.early_weight else [],
        "input_ids": prompt + target["input_ids"] + [tokenizer.eos_token_id],
        "weights": [args.prompt_weight] * len(prompt) + weights + [1.0],
    }


def rows_of(args: RecipeArguments, seed: int) -> list[dict[str, Any]]:
    """Rows with the judgement to learn of each under `target`.

    Raises:
        InvalidInput: `rows` has none, or no pairs for so many even ones.
    """
    if args.rows is None:
        return [{**row, "target": row["meta"]["target"]} for row in build(Path(args.data), "train", args.examples)]
    found = read_dataset(args.rows)
    for name in ("target", *filter(None, [args.balanced_by, args.even and "conversation"])):
        if name not in found.column_names:
            raise InvalidInput(
                f"rows: {args.rows} has no column {name}; its columns are {', '.join(found.column_names)}"
            )
    groups: dict[Any, list[int]] = {}
    named = found[args.balanced_by] if args.balanced_by else repeat(None)
    for at, (target, group) in enumerate(zip(found["target"], named, strict=False)):
        if target is not None:
            groups.setdefault(group, []).append(at)
    random, weights = Random(seed), weights_of(args, groups)
    wanted = {name: round(args.examples * weight / sum(weights.values())) for name, weight in weights.items()}
    drawn = [at for name, group in groups.items() for at in random.sample(group, min(wanted[name], len(group)))]
    rows = [found[at] for at in drawn]
    if args.even:
        rows += even_rows(Path(args.data), set(map(asked, found["conversation"])), args.even, seed)
    return random.sample(rows, len(rows))


def weights_of(args: RecipeArguments, groups: Mapping[Any, Any]) -> dict[Any, float]:
    """Of each value of `balanced_by`.

    Raises:
        InvalidInput: shares that do not name each value once with a number, or are all 0.
    """
    if not args.shares:
        return dict.fromkeys(groups, 1.0)
    said = dict(share.split("=", 1) for share in args.shares if re.fullmatch(r"[^=]+=\d+(?:\.\d+)?", share))
    if set(said) != set(map(str, groups)) or not any(map(float, said.values())):
        raise InvalidInput(
            f"shares: {args.shares!r} is not usable; give VALUE=WEIGHT for each of {sorted(map(str, groups))}"
        )
    return {name: float(said[str(name)]) for name in groups}


def build_dataset(args: RecipeArguments, tokenizer: Any, seed: int = 0) -> Dataset:
    """The train split, packed."""
    rows = rows_of(args, seed)
    features = [to_features(row, tokenizer, args) for row in rows]
    features = [f for f in features if len(f["input_ids"]) <= args.max_tokens]
    print(json.dumps({"examples": len(rows), "of more than max_tokens": len(rows) - len(features)}), flush=True)
    groups = pack([len(f["input_ids"]) for f in features], args.pack_tokens)
    pad = tokenizer.pad_token_id
    return Dataset.from_list([join([features[i] for i in group], args.pack_tokens, pad) for group in groups])


def main(args: RecipeArguments, config: TrainingArguments) -> None:
    """Train, and leave the adapter in `output_dir`."""
    check(args)
    model, tokenizer, name = base_model()
    model.set_attn_implementation("segments")
    dataset = build_dataset(args, tokenizer, config.seed)
    print(
        json.dumps({"base": name, "steps_an_epoch": len(dataset), "tokens": len(dataset) * args.pack_tokens}),
        flush=True,
    )
    lora = LoraConfig(r=args.lora_r, lora_alpha=2 * args.lora_r, target_modules="all-linear", task_type="CAUSAL_LM")
    start = args.init_adapter
    model = PeftModel.from_pretrained(model, start, is_trainable=True) if start else get_peft_model(model, lora)
    trainer = PackedTrainer(model, config, train_dataset=dataset, data_collator=collate)
    go_on(trainer)
    trainer.save_model(config.output_dir)
    judge = GRMConfig(template=args.template, constrain="scores", meta_rm=SELF if args.early_weight else None)
    write_json(Path(str(config.output_dir)) / ADAPTER_SETTINGS, judge.to_dict())


if __name__ == "__main__":
    script(main, RecipeArguments, TrainingArguments)
