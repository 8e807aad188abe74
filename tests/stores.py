"""A scripted judge and whole runs over it, for the tests of stores; also run in processes that are killed."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.scoring_grm import score
from modeling_grm.trajectories import Settings, Store, UnwritableStore, store
from modeling_grm.types_grm import Completion, Prompt, Request, RewardResult

CONFIG = GRMConfig(template="compact", k=4)


def settings(config: GRMConfig = CONFIG, seed: int = 0) -> Settings:
    """Those of the scripted judge."""
    return Settings.of(config, model="org/judge", revision="abc", backend="scripted", seed=seed)


def requests(count: int) -> list[Request]:
    """Short ones with two or three responses."""
    return [Request(f"Question {at}?", [f"a{at}", "bb", "ccc"][: 2 + at % 2]) for at in range(count)]


def judged(prompt: Prompt) -> Completion:
    """What depends on the prompt and its seed alone: mostly scores with their chances, now and then a failure."""
    random, n = Random(f"{prompt.seed} {prompt.messages}"), len(prompt.order)
    scores = [random.randint(1, 10) for _ in range(n + (random.random() < 0.1))]
    text = "Analysis: ü.\nScores: \\boxed{"
    numbers = {}
    for at, number in enumerate(scores):
        text += ", " * bool(at)
        share = random.random()
        numbers[len(text)] = {number: share, number % 10 + 1: 1 - share}
        text += str(number)
    tokens = {"prompt_tokens": 9, "completion_tokens": len(text)}
    if random.random() < 0.1:
        return Completion(text, truncated=True, numbers=numbers, **tokens)
    return Completion(text + "}", numbers=numbers, **tokens)


class Scripted:
    """Answers `window` prompts at a time, in any order; keeps the seeds of those it was asked for."""

    def __init__(self, window: int = 5, pause: float = 0, log: Path | None = None) -> None:
        self.window, self.pause, self.log = window, pause, log
        self.seeds: list[int] = []

    def __call__(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        """The `Generate` seam."""
        numbered = enumerate(prompts)
        while read := list(itertools.islice(numbered, self.window)):
            Random(len(self.seeds)).shuffle(read)
            for index, prompt in read:
                time.sleep(self.pause)
                self._note(prompt.seed)
                yield index, judged(prompt)

    def _note(self, seed: int) -> None:
        self.seeds.append(seed)
        if self.log:
            with self.log.open("a") as log:
                log.write(f"{seed}\n")


def run(
    folder: Path,
    asked: Iterable[Request],
    engine: Scripted | None = None,
    config: GRMConfig = CONFIG,
    *,
    text: bool | None = None,
    mix: bool = False,
) -> list[RewardResult]:
    """Score requests over a store, as `grm score --store` does."""
    with Store(folder, settings(config), text=text, mix=mix) as kept:

        def registered() -> Iterator[Request]:
            for at, request in enumerate(asked):
                kept.register(request, id=f"row-{at}", labels=range_of(request), best=request.n - 1, licence="MIT")
                yield request

        return list(score(registered(), kept.recording(engine or Scripted()), config))


def range_of(request: Request) -> list[int]:
    """Labels: later responses are better."""
    return list(range(request.n))


def slow_run(folder: Path, log: Path) -> None:
    """A run to be killed: 24 items, small shards, and an engine that takes its time."""
    store.ROLL_ROWS = 7
    run(folder, requests(24), Scripted(pause=0.002, log=log))


def cramped_run(folder: Path, said: Path, limit: int) -> None:
    """A run whose files may not grow beyond `limit` bytes: the system refuses the write that would pass it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        run(folder, requests(24))
    except UnwritableStore as error:
        said.write_text(str(error))
