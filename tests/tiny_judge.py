"""A judge small enough for every test: a random Llama of a few thousand weights that likes to write a scores line.

    model, tokenizer = tiny_judge()

Its tokenizer knows every byte, and a few whole lines such as `Scores: \\boxed{2, 9}` as one token each, which the head
prefers; so its judgements are random, mostly readable, and end within a few tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOTES = (
    *((a, b) for a in (2, 5, 9) for b in (2, 5, 9)),
    *((a,) for a in (1, 6, 10)),
    *((a, 4, 8, b) for a in (3, 7) for b in (1, 10)),
)
LINES = tuple(f"Scores: \\boxed{{{', '.join(map(str, votes))}}}\n" for votes in VOTES)


def byte_tokenizer(lines: tuple[str, ...] = LINES) -> Any:
    """One token a byte, the control tokens of the chat template, and the lines."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={sign: at for at, sign in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.add_tokens([AddedToken(line, normalized=False) for line in lines])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def random_llama(vocabulary: int, context: int) -> Any:
    """Two layers, two heads, width 16; the same weights every time, and the caller's random state left alone."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def tiny_judge(context: int = 4096) -> tuple[Any, Any]:
    """(model, tokenizer); each hidden state has a large first feature, so that the head's first column is a bias."""
    tokenizer = byte_tokenizer()
    model = random_llama(len(tokenizer), context)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.1
        model.lm_head.weight.mul_(20)
        model.lm_head.weight[:, 0] = 0
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(list(LINES)), 0] = 2.5
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, tokenizer


def save_tiny(folder: Path, grm: dict[str, Any] | None = None, chat_template: bool = True) -> Path:
    """The tiny judge as a checkpoint folder, with `grm` in its config.json."""
    model, tokenizer = tiny_judge()
    if not chat_template:
        tokenizer.chat_template = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if grm is not None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"grm": grm}), encoding="utf-8")
    return folder
