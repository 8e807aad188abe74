"""What a checkpoint's folder holds, and the part of it that belongs on the Hub: safetensors, tokenizer, configuration.

    kind_of(Path("runs/mine")) -> "grm" or "meta-rm"

Pickled weights are refused, an adapter is merged into its base, and a trainer's leavings stay behind. Knows nothing
about cards or uploads.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..judged_grm import ADAPTER_FILE, KEY
from ..loading import ADAPTER_SETTINGS
from ..types_grm import InvalidInput

CONFIG, ADAPTER_CONFIG, ADAPTER_WEIGHTS = "config.json", "adapter_config.json", "adapter_model.safetensors"
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("vocab.txt", "merges.txt", "*.model", "chat_template.jinja", "additional_chat_templates/*.jinja"),
)
FULL = (
    CONFIG,
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    *TOKENIZER,
    "LICENSE*",
    "NOTICE*",
)
ADAPTER = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_SETTINGS, ADAPTER_FILE, *TOKENIZER, "LICENSE*", "NOTICE*")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        InvalidInput: it cannot be read, or is no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"folder: {path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"folder: {path} is no JSON object")
    return found


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A JSON object into a file that is nobody else's: a link there is replaced, not followed."""
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def is_adapter(folder: Path) -> bool:
    """Whether it is a LoRA adapter rather than a whole checkpoint.

    Raises:
        InvalidInput: it is neither, or both.
    """
    whole, adapter = ((folder / name).is_file() for name in (CONFIG, ADAPTER_CONFIG))
    if whole and adapter:
        raise InvalidInput(f"folder: {folder} holds a checkpoint and an adapter; give a folder with one of them")
    if not (whole or adapter):
        raise InvalidInput(f"folder: {folder} has no {CONFIG} and no {ADAPTER_CONFIG}; give a checkpoint's folder")
    return adapter


def kind_of(folder: Path) -> str:
    """`grm` or `meta-rm`.

    Raises:
        InvalidInput: it is no checkpoint.
    """
    if is_adapter(folder):
        return "meta-rm" if read_json(folder / ADAPTER_CONFIG).get("task_type") == "SEQ_CLS" else "grm"
    made = (read_json(folder / CONFIG).get("architectures") or [""])[0]
    return "meta-rm" if made.endswith("ForSequenceClassification") else "grm"


def check_weights(folder: Path) -> None:
    """Refuse a folder without safetensors.

    Raises:
        InvalidInput: its weights are pickled, which runs code when it is opened, or there are none.
    """
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickled:
        auto = "AutoModelForSequenceClassification" if kind_of(folder) == "meta-rm" else "AutoModelForCausalLM"
        raise InvalidInput(
            f"weights: {folder} has pickled weights only ({', '.join(pickled)}), which run code when they are opened; "
            f'convert them where you trust them: python -c "from transformers import {auto}; '
            f"{auto}.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    raise InvalidInput(f"weights: {folder} has no .safetensors file; give a folder that save_pretrained wrote")


def collect(folder: Path, out: Path, patterns: Iterable[str], *, link: bool) -> None:
    """Put the files of these names into `out`, linked (where it is only on its way to the Hub) or copied."""
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        place(path, out / path.relative_to(folder), link=link)


def place(path: Path, target: Path, *, link: bool) -> None:
    """One file where it goes up from."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        os.symlink(path.resolve(), target)
    else:
        shutil.copyfile(path, target)


def base_of(adapter: Path) -> str:
    """What an adapter stands on.

    Raises:
        InvalidInput: it does not say so.
    """
    base = read_json(adapter / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InvalidInput(f"folder: {adapter / ADAPTER_CONFIG} names no base_model_name_or_path; add it")
    return base


def merge(adapter: Path, out: Path) -> None:
    """Write base + adapter as one plain checkpoint with its tokenizer and settings; dtype as the base has it.

    Raises:
        InvalidInput: the base cannot be loaded.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    rates, base = kind_of(adapter) == "meta-rm", base_of(adapter)
    auto: Any = AutoModelForSequenceClassification if rates else AutoModelForCausalLM
    own_tokenizer = (adapter / "tokenizer_config.json").is_file()
    try:
        model = auto.from_pretrained(base, dtype="auto", **({"num_labels": 1} if rates else {}))
        tokenizer = AutoTokenizer.from_pretrained(str(adapter) if own_tokenizer else base)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"folder: the adapter's base {base!r} cannot be loaded: {error}") from error
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    if rates and merged.config.get_text_config().pad_token_id is None:
        merged.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    merged.save_pretrained(out)
    tokenizer.save_pretrained(out)
    name, key = (ADAPTER_FILE, KEY) if rates else (ADAPTER_SETTINGS, "grm")
    if (adapter / name).is_file():
        write_json(out / CONFIG, read_json(out / CONFIG) | {key: read_json(adapter / name)})
