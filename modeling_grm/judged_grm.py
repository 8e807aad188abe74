"""What a meta RM reads of a judgement, as messages and token ids, and whether a tokenizer is the one it was made for.

    encode_judged(tokenizer, judged_messages(request, critique)) -> [1, 4093, ...]

Knows templates and tokenizers; nothing about models.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .generation_grm import plain
from .prompts_grm import render
from .types_grm import Critique, InvalidInput, Request

TEMPLATE = "meta-rm"
KEY = "grm_meta"
ADAPTER_FILE = f"{KEY}.json"  # where an adapter, which has no config.json, keeps the same entry
KNOWN = ("tokenizer", "temperature", "base", "report")
_PROBE = "a judgement"


def fingerprint(tokenizer: Any) -> str:
    """16 hex digits of what a tokenizer makes of a text: its vocabulary and its chat template."""
    content = [sorted(tokenizer.get_vocab().items()), tokenizer.chat_template]
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:16]


def judged_messages(request: Request, critique: Critique) -> tuple[dict[str, str], ...]:
    """What the meta RM reads (Appendix G): the responses as the sample saw them, then its judgement, word for word."""
    return (*render(request, critique.order, TEMPLATE), {"role": "assistant", "content": critique.text})


def shortest(request: Request) -> tuple[dict[str, str], ...]:
    """The same with a judgement of a few tokens, to count what the request takes."""
    return (*render(request, range(request.n), TEMPLATE), {"role": "assistant", "content": _PROBE})


def encode_judged(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Messages that end with the assistant's turn as token ids; control tokens in them are plain text.

    Raises:
        InvalidInput: the tokenizer has no chat template, or one that takes no assistant's turn at the end.
    """
    if not isinstance(getattr(tokenizer, "chat_template", None), str):
        raise InvalidInput("meta_model: its tokenizer has no chat template; save the one that it was trained with")
    try:
        text = tokenizer.apply_chat_template(plain(tokenizer, messages), tokenize=False)
    except Exception as error:  # jinja2 is not imported here, and templates raise its errors on purpose
        raise InvalidInput(f"meta_model: its chat template refuses a judgement as the last turn: {error}") from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def check_template(tokenizer: Any) -> None:
    """Refuse a chat template that leaves out the assistant's turn at the end."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ""}]
    without, with_it = (encode_judged(tokenizer, [turns[0], turns[1] | {"content": text}]) for text in ("", _PROBE))
    if len(with_it) <= len(without):
        raise InvalidInput(
            "meta_model: its chat template leaves out an assistant's turn at the end, which holds the judgement; "
            "use the template that it was trained with"
        )


def check_about(about: Mapping[str, Any], tokenizer: Any) -> float:
    """The temperature of `config.json["grm_meta"]`, 1 where it says none.

    Raises:
        InvalidInput: an unknown key, an unusable temperature, or another tokenizer than it was trained with.
    """
    unknown = sorted(set(about) - set(KNOWN))
    if unknown:
        raise InvalidInput(f"{KEY}: unknown {unknown}; known are {sorted(KNOWN)}")
    trained, here = about.get("tokenizer"), fingerprint(tokenizer)
    if trained not in (None, here):
        raise InvalidInput(
            f"meta_model: trained with the tokenizer {trained}, given {here} (vocabulary and chat template); "
            "use the tokenizer of its own repository"
        )
    temperature = about.get("temperature") or 1.0
    if not (isinstance(temperature, (int, float)) and 0 < temperature < math.inf):
        raise InvalidInput(f"{KEY}: temperature {temperature!r} is not usable; give a positive number")
    return float(temperature)
