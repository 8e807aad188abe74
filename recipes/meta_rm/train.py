# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""Trains a meta RM: a scalar head that says whether a judgement is correct, from a trajectory store.

    python recipes/meta_rm/train.py --config recipes/meta_rm/smoke.yaml

Binary cross-entropy on "the trajectory is correct" (arXiv 2504.02495, section 3.2 and Eq 10). Every key of the YAML can
be overridden on the command line, and a run that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import Trainer, TrainingArguments

from modeling_grm.classifiers import check_layers, classifier, pad_as, with_classifier_lora
from modeling_grm.embedded import embedded_judge
from modeling_grm.judged_grm import ADAPTER_FILE, KEY, fingerprint
from modeling_grm.meta_examples import Example, balanced, examples, excluded_items, split
from modeling_grm.meta_head import fitted_head
from modeling_grm.meta_quality import fit_temperature, quality
from modeling_grm.meta_rm_grm import MetaRM
from modeling_grm.meta_training import (
    Collator,
    PaddedTrainer,
    SharedTrainer,
    collate_shared,
    padded_rows,
    shared_rows,
)
from modeling_grm.recipes import go_on, last_checkpoint, script
from modeling_grm.shared_prompts import shares
from modeling_grm.toys import TOY, made_up_store, tiny_classifier
from modeling_grm.types_grm import InvalidInput

HEAD_START = 1000
"""Judgements that a head is fitted on where training goes on from it: a good place to start is enough then."""


@dataclass
class RecipeArguments:
    """What is trained on what.

    Args:
        store: folder of a trajectory store with texts and labels; `toy` is made on the fly.
        base: Hub id or folder of the backbone; the embedded judge if left out; `toy` is made on the fly.
        exclude: what the GRM was trained on: stores, files of rows, or text files of item hashes.
        test_share, calibration_share: shares of the items.
        balance: none, downsample (the more frequent kind is thinned out) or weight (weighed down).
        max_tokens: longer judgements are left out.
        lora_r: rank of the adapter on every linear layer; 0 trains all weights.
        lora_last: only on that many layers, counted from the head, so that the backward pass ends there; 0 is all.
        pack_tokens: train on sequences of about so many tokens, in which a prompt is read once for all its judgements
            (with per_device_train_batch_size 1); 0 trains on padded batches of single judgements.
        pairwise: weight of a second loss: of an item's judgements a right one above a wrong one (with pack_tokens).
        head_first: fit the head on the frozen backbone before the training, on `HEAD_START` judgements; with max_steps
            0 it stays at that, and has all of them.
        eval_batch_size: judgements rated at once.
    """

    store: str = field(default="runs/demo")
    base: str | None = None
    exclude: list[str] = field(default_factory=list)
    test_share: float = 0.3
    calibration_share: float = 0.1
    balance: str = "none"
    max_tokens: int = 4096
    lora_r: int = 16
    lora_last: int = 0
    pack_tokens: int = 0
    pairwise: float = 0.0
    head_first: bool = False
    eval_batch_size: int = 8


def backbone(args: RecipeArguments) -> tuple[Any, Any, str]:
    """(classifier with one label, tokenizer, name).

    Raises:
        InvalidInput: no such model, or an adapter.
    """
    if args.base == TOY:
        return (*tiny_classifier(), TOY)
    name = args.base or str(embedded_judge())
    model, tokenizer = classifier(name, field="base")
    model.config.problem_type = "multi_label_classification"  # its own loss is then the cross-entropy of one yes or no
    pad_as(model, tokenizer)
    return model, tokenizer, name


def check(args: RecipeArguments, config: TrainingArguments) -> None:
    """Refuse settings that no run could use."""
    if args.pack_tokens and config.per_device_train_batch_size != 1:
        raise InvalidInput("pack_tokens: a sequence is a batch; give per_device_train_batch_size 1")
    if args.pairwise < 0 or (args.pairwise and not args.pack_tokens):
        raise InvalidInput(f"pairwise: {args.pairwise!r} is not usable; give a weight from 0, and pack_tokens")


def for_head(part: list[Example], most: int | None) -> list[Example]:
    """All judgements of items by lot (their hashes' order), until they are so many; of all items for None."""
    counts = dict(sorted(Counter(example.item for example in part).items()))
    before = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    return [example for example in part if most is None or before[example.item] < most]


def fit_head(model: Any, tokenizer: Any, parts: dict[str, list[Example]], batch_size: int) -> None:
    """Put the head where it is best on the backbone as it is."""
    meta = MetaRM(model, tokenizer, about={}, batch_size=batch_size)
    given = [part for name in ("train", "calibration") for part in states_of(meta, parts[name])]
    with torch.no_grad():
        meta.head.weight.copy_(fitted_head(*given)[None])


def states_of(meta: MetaRM, part: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """(pooled states, correct) of examples, batch by batch."""
    batches = batches_of(meta, part)
    read = tqdm(batches, desc="states for the head", unit="batch", disable=None)
    states = [meta.pooled([part[at].ids for at in batch]).float().cpu() for batch in read]
    return torch.cat(states), torch.tensor([float(part[at].correct) for batch in batches for at in batch])


def batches_of(meta: MetaRM, part: list[Example]) -> list[list[int]]:
    """Examples that are read at once."""
    return meta.batches({at: example.ids for at, example in enumerate(part)})


def logits_of(trainer: Trainer, tokenizer: Any, part: list[Example], batch_size: int) -> list[float]:
    """Raw logits, by the code that serves the model."""
    model: Any = trainer.model
    meta = MetaRM(model, tokenizer, about={}, batch_size=batch_size)
    found = [0.0] * len(part)
    for batch in tqdm(batches_of(meta, part), desc="ratings", unit="batch", disable=None):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=trainer.args.bf16):
            logits = meta.logits([part[at].ids for at in batch])
        for at, logit in zip(batch, logits, strict=True):
            found[at] = logit
    return found


def report_of(part: list[Example], logits: list[float], temperature: float) -> dict[str, Any]:
    """Figures on unseen items, as they are and calibrated."""
    correct, items = [e.correct for e in part], [e.item for e in part]
    raw = quality(logits, correct, items)
    calm = quality([logit / temperature for logit in logits], correct, items)
    return raw | {"ece_raw": raw["ece"], "ece": calm["ece"], "temperature": temperature}


def save(trainer: Trainer, tokenizer: Any, folder: Path, about: dict[str, Any]) -> None:
    """The classifier (or its adapter) with its tokenizer, and what a loader must know."""
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    tokenizer.save_pretrained(folder)
    config = folder / "config.json"
    if config.is_file():
        stored = json.loads(config.read_text(encoding="utf-8")) | {KEY: about}
        config.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    else:
        (folder / ADAPTER_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def trainer_of(model: Any, args: RecipeArguments, config: TrainingArguments, train: list[Example]) -> PaddedTrainer:
    """With its rows."""
    pad = model.config.get_text_config().pad_token_id
    if args.pack_tokens:
        rows = shared_rows(train, args.pack_tokens, pad, config.seed, whole=args.pairwise > 0)
        trainer = SharedTrainer(model, config, train_dataset=rows, data_collator=collate_shared)
        trainer.pairwise = args.pairwise
        return trainer
    return PaddedTrainer(model, config, train_dataset=padded_rows(train), data_collator=Collator(pad or 0))


def main(args: RecipeArguments, config: TrainingArguments) -> None:
    """Train, calibrate, measure, and leave the meta RM in `output_dir`."""
    check(args, config)
    model, tokenizer, name = backbone(args)
    check_layers(model, args.lora_last, name)
    if args.pack_tokens and not shares(model):
        raise InvalidInput("pack_tokens: this model's attention has windows or a cap; leave it at 0")
    if args.store == TOY:
        args.store = str(made_up_store(Path(config.output_dir) / "store"))
    made, left = examples(args.store, tokenizer, max_tokens=args.max_tokens, exclude=excluded_items(args.exclude))
    parts = split(made, args.test_share, args.calibration_share)
    train, weight = balanced(parts["train"], args.balance, config.seed)
    print(json.dumps({"base": name, "examples": {n: len(p) for n, p in parts.items()}, "left_out": left}), flush=True)
    config.remove_unused_columns = False
    if args.head_first and last_checkpoint(config.output_dir) is None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=config.bf16):
            some = for_head(train, HEAD_START if config.max_steps else None)
            fit_head(model, tokenizer, parts | {"train": some}, args.eval_batch_size)
    trainer = trainer_of(with_classifier_lora(model, args.lora_r, args.lora_last), args, config, train)
    trainer.weight = weight
    go_on(trainer)
    finish(trainer, tokenizer, parts, args, name)


def finish(trainer: Trainer, tokenizer: Any, parts: dict[str, list[Example]], args: RecipeArguments, name: str) -> None:
    """Save first, then calibrate on items of their own, measure on others, and save what was learned."""
    folder = Path(str(trainer.args.output_dir))
    about: dict[str, Any] = {"tokenizer": fingerprint(tokenizer), "base": name}
    save(trainer, tokenizer, folder, about)
    held = {part: logits_of(trainer, tokenizer, parts[part], args.eval_batch_size) for part in ("calibration", "test")}
    temperature = fit_temperature(held["calibration"], [e.correct for e in parts["calibration"]])
    report = report_of(parts["test"], held["test"], temperature)
    save(trainer, tokenizer, folder, about | {"temperature": temperature, "report": report})
    if not trainer.is_world_process_zero():
        return
    ratings = {e.key: logit / temperature for e, logit in zip(parts["test"], held["test"], strict=True)}
    (folder / "test_ratings.json").write_text(json.dumps(ratings) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2), flush=True)


if __name__ == "__main__":
    script(main, RecipeArguments, TrainingArguments)
