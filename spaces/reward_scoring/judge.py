"""The judge behind the page: one pipeline, perhaps a meta RM, and how long a question may take.

    judge = Judge.from_environment()
    for step in judge.steps(Asked.of("2+2?", ["4", "five"])): ...

`GRM_MODEL` names the judge (the embedded one where it is not set) and `GRM_META_MODEL` its meta RM. Knows nothing about
pages, and keeps nothing of what it is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asked import HOTTEST, MOST_K, Asked

from modeling_grm.first_reading_grm import rater_of
from modeling_grm.loading import load
from modeling_grm.streaming import stream

SECONDS = 120.0  # a question gets no more, from its first token to its last sample
SETUP_SECONDS, STEP_SECONDS, READ_SECONDS = 15, 0.04, 1 / 4_000
CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True)
class Judge:
    """A pipeline with what the page needs to know of it.

    Attributes:
        pipe: the reward-scoring pipeline.
        model: its Hub id; None for the embedded judge.
        meta_model: the meta RM's Hub id, or "self"; None where there is none.
        meta: the meta RM, loaded.
        seconds: the time that one question gets.
    """

    pipe: Any
    model: str | None = None
    meta_model: str | None = None
    meta: Callable[..., Any] | None = None
    seconds: float = SECONDS

    @classmethod
    def from_environment(cls) -> Judge:
        """The judge that the environment names, loaded; the meta RM is the judge's own where it names one."""
        model = os.environ.get("GRM_MODEL") or None
        pipe = load(model)
        meta = os.environ.get("GRM_META_MODEL") or pipe.grm.meta_rm
        rate = rater_of(meta, pipe.model, pipe.tokenizer, pipe.grm.template) if meta else None
        return cls(pipe, model, meta, rate)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.model or "the embedded demonstration judge (135M)"

    @property
    def default_k(self) -> int:
        """How many samples the form begins with."""
        return min(self.pipe.grm.k if isinstance(self.pipe.grm.k, int) else 8, MOST_K)

    @property
    def default_temperature(self) -> float:
        """What the form begins with: the judge's own."""
        return min(float(self.pipe.grm.temperature), HOTTEST)

    def settings(self, asked: Asked) -> dict[str, Any]:
        """The call's settings: without the meta RM the plain sum, also where the judge's own settings name one."""
        chosen = {"meta_model": self.meta} if asked.meta and self.meta else {"rule": "sum"}
        return asked.settings() | chosen

    def steps(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """`modeling_grm.streaming.stream` with seconds beside each step, ended when the time is up.

        Raises:
            InvalidInput: what cannot be judged.
        """
        began = time.monotonic()
        for step in stream(self.pipe, asked.turns, asked.responses, **self.settings(asked)):
            seconds = time.monotonic() - began
            late = seconds > self.seconds and not step["done"]
            yield step | {"seconds": seconds} | ({"done": True, "stopped": "time"} if late else {})
            if late:
                return

    def gpu_seconds(self, asked: Asked) -> int:
        """How long to ask a shared GPU for: reading the prompts once, and writing all samples side by side."""
        grm = self.pipe.grm
        prompts = min(asked.k, len(asked.responses))
        rounds = -(-asked.k // len(asked.responses)) if asked.adaptive else 1
        read = prompts * asked.characters / CHARACTERS_A_TOKEN * READ_SECONDS
        return int(min(self.seconds, SETUP_SECONDS + read + rounds * grm.max_new_tokens * STEP_SECONDS))
