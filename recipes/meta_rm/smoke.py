"""A classifier and a store small enough to be made on the fly: what the smoke run and its test train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.scoring_grm import score
from modeling_grm.trajectories import Settings, Store
from modeling_grm.types_grm import Completion, Prompt, Request

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONFIG = GRMConfig(template="compact", k=4)
ITEMS = 40


def tiny_tokenizer() -> Any:
    """One token a byte and the control tokens of the chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={sign: at for at, sign in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_classifier() -> tuple[Any, Any]:
    """(two random layers with a head of one label, tokenizer)."""
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        problem_type="multi_label_classification",
    )
    torch.manual_seed(0)
    return LlamaForSequenceClassification(config), tokenizer


def _judgement(prompt: Prompt) -> Completion:
    """Likes the good response, with noise; a careless judgement says so."""
    noise = Random(prompt.seed)
    careless = noise.random() < 0.4
    scores = [noise.randint(1, 10) if careless else 9 - 7 * at for at in prompt.order]
    said = "whatever" if careless else "read twice"
    return Completion(f"Analysis: {said}.\nScores: \\boxed{{{scores[0]}, {scores[1]}}}")


def made_up_store(folder: Path) -> Path:
    """A labelled store of a scripted judge; what is there stays."""

    def engine(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        yield from ((at, _judgement(prompt)) for at, prompt in enumerate(prompts))

    settings = Settings.of(CONFIG, model="scripted", backend="scripted")
    with Store(folder, settings) as store:

        def registered() -> Iterator[Request]:
            for at in range(ITEMS):
                request = Request(f"Question {at}?", [f"good {at}", f"bad {at}"])
                store.register(request, id=f"row-{at}", best=0)
                yield request

        list(score(registered(), store.recording(engine), CONFIG))
    return folder
