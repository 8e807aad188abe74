"""Canned judgements instead of a model: for tests of what stands behind an engine, failures included.

pipeline("reward-scoring", model=Fake(["Scores: \\\\boxed{8, 3}", RuntimeError("out of memory")]))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..configuration_grm import GRMConfig
from ..constraint_grm import ScoresLine
from ..types_grm import Completion, InvalidInput, Prompt
from .base import Backend, ended

Canned = str | Completion | Exception


class Fake(Backend):
    """An engine that says what it is told to.

    Args:
        completions: sample j of each request gets number j (modulo their count), whatever was asked before it; or a
            function of the prompt. An exception becomes a completion with an error.
        config: stands for a checkpoint's configuration.
        delay: seconds that each completion takes.

    Raises:
        InvalidInput: there are no completions, or `constrain` is asked for.
    """

    name_or_path = "fake"

    def __init__(
        self, completions: Sequence[Canned] | Callable[[Prompt], Canned], *, config: Any = None, delay: float = 0.0
    ) -> None:
        if not callable(completions) and not completions:
            raise InvalidInput("completions: the list is empty; give at least one text")
        self.completions, self.config, self.delay = completions, config, delay

    def engine(
        self,
        config: GRMConfig,
        *,
        stop: Callable[[str], int | None],
        line: Callable[[int], ScoresLine] | None = None,
        batch_size: int | None = None,
    ) -> Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]:
        """As `Backend.engine`; one prompt after another, no sampling setting has an effect."""
        if line is not None:
            raise InvalidInput("constrain: canned completions cannot be constrained; give constrain='none'")

        def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            for index, prompt in enumerate(prompts):
                time.sleep(self.delay)
                yield index, ended(self._completion(prompt), stop)

        return generate

    def _completion(self, prompt: Prompt) -> Completion:
        canned = self.completions
        said = canned(prompt) if callable(canned) else canned[prompt.sample % len(canned)]
        if isinstance(said, Exception):
            return Completion("", error=f"{type(said).__name__}: {said}")
        return said if isinstance(said, Completion) else Completion(said)
