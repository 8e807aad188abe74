"""A checkpoint as something to train: its model, tokenizer and settings, and how a trained judge is saved.

    found = prepared("Qwen/Qwen2.5-1.5B-Instruct", template="compact")
    judge = with_weights(found, lora_r=16)
    trainer = SFTTrainer(judge.model, ..., processing_class=judge.tokenizer, peft_config=judge.peft)
    save_judge(trainer, judge, Path("runs/mine"))  # `grm score --model runs/mine`

What can be refused without the weights is refused before them (`prepared`). Knows nothing about data and losses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from .adapters_grm import adapter_base
from .configuration_grm import GRMConfig
from .embedded import embedded_judge
from .generation_grm import check_tokenizer, context_length
from .known_grm import KNOWN, settings_of
from .loading import ADAPTER_SETTINGS, configured
from .meta_rm_grm import EAGER
from .toys import TOY, toy_folder
from .types_grm import InvalidInput

FITTED = ("stopping", "confidence", "min_confidence", "meta_rm")
"""What a judge's settings say that was fitted to its judgements, and does not outlive training."""


@dataclass(frozen=True)
class Prepared:
    """A checkpoint before its weights are read: where it is, its tokenizer, the tokens that it reads at most, and the
    settings of what it becomes."""

    name: str
    tokenizer: Any
    context: int
    settings: GRMConfig


@dataclass(frozen=True)
class Trainable(Prepared):
    """The same with its model, and a fresh adapter's configuration where one is to be trained."""

    model: Any
    peft: Any


def prepared(model: str | None, *, template: str | None = None, chat_template: str | None = None) -> Prepared:
    """All of a checkpoint but its weights.

    Args:
        model: Hub id, folder or LoRA adapter; the embedded judge if None; `toy`.
        template: that the judge is trained with; the checkpoint's own if None.
        chat_template: where the tokenizer's chat template comes from if it has none: a tokenizer's Hub id or folder, or
            a `.jinja` file.

    Raises:
        InvalidInput: no such checkpoint, no chat template, or a template that is not the one that its settings name.
    """
    name = toy_folder() if model == TOY else model or str(embedded_judge())
    try:
        base, config = configured(name)
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"model: {name!r} cannot be loaded; give a Hub id or a checkpoint's folder ({error})"
        ) from error
    settings = _settings(name, getattr(config, "grm", None), template)
    _give_chat_template(tokenizer, chat_template)
    check_tokenizer(tokenizer)
    return Prepared(name, tokenizer, context_length(config), settings)


def with_weights(judge: Prepared, lora_r: int = 0, options: Mapping[str, Any] | None = None) -> Trainable:
    """The checkpoint's model, in float32 unless the options say otherwise.

    Args:
        judge: what is trained.
        lora_r: rank of a fresh adapter on every linear layer; 0 trains all weights, or a checkpoint that is an adapter.
        options: of `from_pretrained`, as TRL's `model_init_kwargs`.

    Raises:
        InvalidInput: a fresh adapter on top of an adapter.
    """
    base = adapter_base(judge.name)
    if base and lora_r:
        raise InvalidInput(f"lora_r: {judge.name!r} is an adapter already, which goes on; leave lora_r at 0")
    model = _weights(base or judge.name, dict(options or {}))
    model.config.grm = judge.settings.to_dict()
    if base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, judge.name, is_trainable=True)
    return Trainable(judge.name, judge.tokenizer, judge.context, judge.settings, model, _lora(lora_r))


def _weights(name: str, options: dict[str, Any]) -> Any:
    eager = AutoConfig.from_pretrained(name).model_type in EAGER
    usual = {"dtype": "float32"} | ({"attn_implementation": "eager"} if eager else {})
    return AutoModelForCausalLM.from_pretrained(name, **usual | options)


def save_judge(trainer: Any, judge: Prepared, folder: Path) -> None:
    """The trained checkpoint, or its adapter, with its tokenizer and settings; `load(folder)` judges with them."""
    trainer.model.config.use_cache = True  # gradient checkpointing has turned it off
    if hasattr(trainer.model, "peft_config") and trainer.is_world_process_zero():
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(judge.settings.to_dict(), indent=2) + "\n"
        (folder / ADAPTER_SETTINGS).write_text(text, encoding="utf-8")
    trainer.save_model(str(folder))  # last: with push_to_hub it uploads the folder


def _settings(name: str, stored: Mapping[str, Any] | None, template: str | None) -> GRMConfig:
    own = settings_of(name, stored)
    says = stored is not None or name in KNOWN
    if says and template not in (None, own.template):
        raise InvalidInput(
            f"template: the rows are written with {template!r:.60}, and {name!r} judges with {own.template!r:.60}; "
            "sample with its template, or start from a checkpoint that names none"
        )
    public = Path(name).name if Path(name).is_dir() else name  # a checkpoint is read on other machines
    fitted: dict[str, Any] = dict.fromkeys(FITTED)
    return replace(own, template=template or own.template, base=own.base or public, **fitted)


def _give_chat_template(tokenizer: Any, source: str | None) -> None:
    if source is None:
        if not tokenizer.chat_template:
            raise InvalidInput(
                "model: its tokenizer has no chat template, as base models often have none; name its instruction-tuned "
                "sister, or a .jinja file, with chat_template_path"
            )
        return
    if source.endswith((".jinja", ".j2")):
        tokenizer.chat_template = _read(Path(source))
        return
    try:
        sister = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"chat_template_path: {source!r} cannot be loaded ({error})") from error
    lacking = {token.content for token in sister.added_tokens_decoder.values()} - set(tokenizer.get_vocab())
    if lacking:
        raise InvalidInput(f"chat_template_path: the model has no {sorted(lacking)[:5]}; give one of its own family")
    tokenizer.chat_template, tokenizer.eos_token = sister.chat_template, sister.eos_token


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"chat_template_path: {str(path)!r} cannot be read ({error})") from error


def _lora(rank: int) -> Any:
    """An adapter on every linear layer but the head; None for rank 0."""
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
