"""What `pipeline()` and `RewardScoringPipeline` ask of a model, answered by an engine that is no torch module.

`pipeline()` loads every string in torch first, so an engine is passed as an object: `pipeline("reward-scoring",
model=VLLM("org/model"))`. Nothing of the weights is read here; the configuration and the tokenizer are, where there
are any.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, ClassVar

import torch
from transformers import AutoConfig, AutoTokenizer

from ..configuration_grm import GRMConfig
from ..constraint_grm import ScoresLine
from ..generation_grm import check_tokenizer
from ..types_grm import Completion, InvalidInput, Prompt


class Backend(ABC):
    """An engine behind the `Generate` seam.

    Attributes:
        name_or_path: what results are named after.
        config: the checkpoint's configuration, whose `grm` holds its settings; None where there is none to read.
        tokenizer: the checkpoint's tokenizer; None where only the server has one, and then nothing is counted here.
        context: tokens that the model reads and writes at most; `sys.maxsize` where nobody says.
    """

    name_or_path: str
    config: Any = None
    tokenizer: Any = None
    context: int = sys.maxsize
    device = torch.device("cpu")
    hf_device_map: ClassVar = {"": "cpu"}  # so that `pipeline()` moves nothing
    dtype = None
    input_modalities = ("text",)

    def can_generate(self) -> bool:
        """False: `pipeline()` has no generation settings to prepare."""
        return False

    @abstractmethod
    def engine(
        self,
        config: GRMConfig,
        *,
        stop: Callable[[str], int | None],
        line: Callable[[int], ScoresLine] | None = None,
        batch_size: int | None = None,
    ) -> Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]:
        """`Generate` with these sampling settings.

        Args:
            config: temperature, top_p, top_k and max_new_tokens are read.
            stop: where a text may end, or None to go on (`parsing_grm.scores_line_end`).
            line: the scores line for n responses, where a judgement must end with one (`constrain="scores"`).
            batch_size: distinct prompts at work at once; the engine's own choice if None.

        Raises:
            InvalidInput: the engine cannot do what is asked.
        """


def read_checkpoint(field: str, name: str) -> tuple[Any, Any]:
    """(configuration, tokenizer) of a Hub id or folder, no weights read.

    Raises:
        InvalidInput: it cannot be read, by the caller's name for it, or no judge can be asked through its tokenizer.
    """
    try:
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{field}: {name!r} cannot be read; give a Hub id or a folder ({error})") from error
    check_tokenizer(tokenizer)
    return config, tokenizer


@dataclass
class Group:
    """The samples of one distinct prompt, (index, seed) each, in the order in which they came."""

    messages: tuple[dict[str, str], ...]
    n: int
    samples: list[tuple[int, int]]


def grouped(prompts: Iterable[Prompt]) -> Iterator[Group]:
    """Each request's prompts, one group a distinct order; read no further than the next request's first prompt.

    Prompts that were made by hand, without an item, share a group where equal ones stand together.
    """
    for _, one_request in groupby(enumerate(prompts), key=lambda numbered: numbered[1].item or numbered[1].messages):
        groups: dict[Any, Group] = {}
        for index, prompt in one_request:
            key = tuple(tuple(message.items()) for message in prompt.messages)
            group = groups.setdefault(key, Group(prompt.messages, len(prompt.order), []))
            group.samples.append((index, prompt.seed))
        yield from groups.values()


def ended(completion: Completion, stop: Callable[[str], int | None]) -> Completion:
    """The completion up to the end of its scores line, if it has one; then it counts as whole."""
    end = None if completion.error else stop(completion.text)
    if end is None:
        return completion
    return replace(completion, text=completion.text[:end], truncated=False)
