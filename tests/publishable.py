"""Folders that can be published: a tiny judge, meta RM, adapters of both, a store, preference rows and a Space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from peft import LoraConfig, get_peft_model
from tiny_judge import byte_tokenizer, save_tiny, tiny_judge

from modeling_grm.toys import STORE, tiny_classifier
from modeling_grm.trajectories import Settings, Store
from modeling_grm.types_grm import Completion, Request

GRM = {"template": "compact", "k": 4, "max_new_tokens": 24}
SAID: dict[str, Any] = {
    "title": "A tiny judge",
    "summary": "Random weights, for tests.",
    "licence": "apache-2.0",
    "language": ["en"],
    "limits": ["It has learnt nothing."],
}
MODEL = SAID | {"base_model": "org/base", "training": "Not at all."}
SPACE = SAID | {
    "emoji": "⚖️",
    "color_from": "blue",
    "color_to": "gray",
    "sdk_version": "6.31.0",
    "models": ["{org}/judge"],
    "hardware": "zero-a10g",
}
ROWS = [
    {"id": "a", "conversation": [{"role": "user", "content": "2+2?"}], "responses": ["4", "5"], "best": 0,
     "source": "sums", "licence": "MIT"},
    {"id": "b", "conversation": [{"role": "user", "content": "3+3?"}], "responses": ["7", "6", "8"], "best": 1,
     "source": "sums", "licence": "MIT"},
]  # fmt: skip


def with_card(folder: Path, said: dict[str, Any]) -> Path:
    """The folder with this `card.yaml` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    return folder


def judge(folder: Path) -> Path:
    """A whole GRM, with what a trainer leaves beside it."""
    save_tiny(folder, GRM)
    for name in ("optimizer.pt", "trainer_state.json", "training_args.bin"):
        (folder / name).write_bytes(b"a trainer's")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "model.safetensors").write_bytes(b"an older one")
    return with_card(folder, MODEL)


def meta_rm(folder: Path) -> Path:
    """A whole meta RM."""
    model, tokenizer = tiny_classifier()
    model.config.grm_meta = {"temperature": 2.0, "base": "/somewhere/else"}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return with_card(folder, MODEL | {"judge": "{org}/judge"})


def adapter(folder: Path, base: str) -> Path:
    """A LoRA adapter of the tiny judge."""
    tuned = get_peft_model(tiny_judge()[0], LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    tuned.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}))
    (folder / "grm.json").write_text(json.dumps(GRM | {"k": 3}))
    return with_card(folder, MODEL)


def meta_adapter(folder: Path, base: str) -> Path:
    """A LoRA adapter with the head of a meta RM, on the tiny judge."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="SEQ_CLS"))
    tuned.peft_config["default"].base_model_name_or_path = base
    tuned.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    (folder / "grm_meta.json").write_text(json.dumps({"temperature": 2.0}))
    return with_card(folder, MODEL | {"judge": "{org}/judge"})


def store(folder: Path, licence: str | None = "MIT") -> Path:
    """A trajectory store of two items."""

    def engine(prompts: Any) -> Any:
        yield from ((at, Completion("Analysis: fine.\nScores: \\boxed{8, 2}")) for at, _ in enumerate(prompts))

    from modeling_grm.scoring_grm import score

    with Store(folder, Settings.of(STORE, model="org/judge", backend="scripted")) as kept:
        requests = [Request(f"Question {at}?", ["good", "bad"]) for at in range(2)]
        for at, request in enumerate(requests):
            kept.register(request, id=f"row-{at}", best=0, source="made up", licence=licence)
        list(score(requests, kept.recording(engine), STORE))
    return with_card(folder, SAID)


def rows(folder: Path, **changed: Any) -> Path:
    """Preference rows in two splits; `changed` in the last one."""
    with_card(folder, SAID)
    for name, row in zip(("train", "test"), (ROWS[0], ROWS[1] | changed), strict=True):
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def space(folder: Path, **changed: Any) -> Path:
    """A Space of one line."""
    with_card(folder, SPACE | changed)
    (folder / "app.py").write_text("import gradio as gr\n")
    (folder / "requirements.txt").write_text("gradio\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_bytes(b"compiled")
    return folder
