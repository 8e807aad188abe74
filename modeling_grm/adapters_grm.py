"""A LoRA adapter by its name: what it stands on and what it is for, no weights read.

    adapter_base("org/an-adapter") -> "org/its-base"
    adapter_task("org/an-adapter") -> "CAUSAL_LM"

A folder with a model's configuration is a model, whatever else lies in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.utils import find_adapter_config_file


def adapter_base(name: str) -> str | None:
    """What a LoRA adapter stands on: its configuration and tokenizer are those of its base; None for no adapter."""
    found = _config(name)
    return None if found is None else str(found["base_model_name_or_path"])


def adapter_task(name: str) -> str | None:
    """What a LoRA adapter is for, in PEFT's words; None for no adapter, or one that does not say."""
    found = _config(name)
    return None if found is None else found.get("task_type")


def _config(name: str) -> dict[str, Any] | None:
    found = None if (Path(name) / "config.json").is_file() else find_adapter_config_file(name)
    return dict(json.loads(Path(found).read_text(encoding="utf-8"))) if found else None
