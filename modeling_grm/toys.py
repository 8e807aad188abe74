"""Models, a tokenizer and a store small enough to be made on the fly: what smoke runs and tests work on.

    model, tokenizer = tiny_judge()
    save_tiny(Path("runs/toy"))

The tokenizer knows every byte, and a few whole lines such as `Scores: \\boxed{2, 9}` as one token each, which the
judge's head prefers; so its judgements are random, mostly readable, and end within a few tokens. Nothing here has
learnt anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from .configuration_grm import GRMConfig
from .scoring_grm import score
from .trajectories import Settings, Store
from .types_grm import Completion, Prompt, Request

TOY = "toy"
"""What the recipes take in place of a model's name: one of these is made then."""
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
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
STORE = GRMConfig(template="compact", k=4)
STORE_ITEMS = 40


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
        vocab_size=vocabulary, **SIZES, max_position_embeddings=context, bos_token_id=None, eos_token_id=None
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


def toy_folder() -> str:
    """The tiny judge as a checkpoint folder that is there as long as this process; trainers read it again by name."""
    return str(save_tiny(Path(_toy_folder().name) / TOY))


@cache
def _toy_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="modeling-grm-")


def tiny_classifier() -> tuple[Any, Any]:
    """(two random layers with a head of one label, tokenizer)."""
    tokenizer = byte_tokenizer(lines=())
    head: dict[str, Any] = {"num_labels": 1, "problem_type": "multi_label_classification"}
    shape = {"vocab_size": len(tokenizer), "max_position_embeddings": 2048, "pad_token_id": tokenizer.pad_token_id}
    config = LlamaConfig(**SIZES | shape | head)
    with torch.random.fork_rng(devices=[]):
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

    with Store(folder, Settings.of(STORE, model="scripted", backend="scripted")) as store:

        def registered() -> Iterator[Request]:
            for at in range(STORE_ITEMS):
                request = Request(f"Question {at}?", [f"good {at}", f"bad {at}"])
                store.register(request, id=f"row-{at}", best=0)
                yield request

        list(score(registered(), store.recording(engine), STORE))
    return folder
