"""A tokenizer and models small enough to make in a test: whole words, so that a text tells its tokens exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from modeling_grm.judged_grm import ADAPTER_FILE, fingerprint

SPECIAL = ("<unk>", "<|im_start|>", "<|im_end|>")
WORDS = tuple(f"w{at}" for at in range(60))
VOCABULARY = (*SPECIAL, "\n", "user", "assistant", "system", *WORDS)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}{# <think> #}"
)
SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY) + 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LATENT: dict[str, Any] = {
    "kv_lora_rank": 16,
    "q_lora_rank": None,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 6}
ARCHITECTURES: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, sliding_window=6, attn_logit_softcapping=2.0)),
    "deepseek_v2": lambda: DeepseekV2ForCausalLM(DeepseekV2Config(**SIZES | LATENT)),
    "gpt_oss": lambda: GptOssForCausalLM(GptOssConfig(**SIZES, **EXPERTS)),  # attention sinks
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, decoded with spaces between; `<think>` is an added token that is not special."""
    core = Tokenizer(models.WordLevel({word: at for at, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    core.add_special_tokens(list(SPECIAL))
    core.add_tokens(["<think>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<|im_end|>", pad_token="<unk>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_model(name: str = "llama", seed: int = 0, sharpness: float = 3.0) -> Any:
    """Random weights, spread enough that a choice of words is clear."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[name]().eval()
    for weights in model.parameters():
        weights.data.mul_(sharpness if weights.dim() > 1 else 1.0)
    return model


def tiny_adapter(folder: Path, base: Path, task: str, seed: int) -> Path:
    """A random LoRA adapter on that base; with a head of its own for a classifier."""
    torch.manual_seed(seed)
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], task_type=task, init_lora_weights=False)
    loaded = LlamaForSequenceClassification if task == "SEQ_CLS" else AutoModelForCausalLM
    options = {"num_labels": 1} if task == "SEQ_CLS" else {}
    model = get_peft_model(loaded.from_pretrained(base, **options), lora)
    model.save_pretrained(folder)
    if task == "SEQ_CLS":
        tiny_tokenizer().save_pretrained(folder)
        about = {"tokenizer": fingerprint(tiny_tokenizer()), "temperature": 2.0}
        (folder / ADAPTER_FILE).write_text(json.dumps(about))
    return folder
