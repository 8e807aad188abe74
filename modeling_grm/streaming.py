"""One request judged before your eyes: after each judgement that ends, the vote so far.

    for step in stream(pipe, "What is 2+2?", ["4", "I like trains"], k=8):
        print(step["k"], step["scores"], step["done"])

Knows the pipeline's public ways only: its engine is tapped where a trajectory store would record it. The pipeline runs
in a thread of its own, and what it gives in the end is the last step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from .confidence_grm import confidence
from .configuration_grm import GRMConfig
from .parsing_grm import parse
from .pipeline_grm import META_RULES, RewardScoringPipeline, to_request
from .scoring_grm import Generate, score_range
from .types_grm import Completion, Critique, Prompt
from .voting_grm import vote


def stream(pipe: RewardScoringPipeline, query: Any, responses: Any = None, **settings: Any) -> Iterator[dict[str, Any]]:
    """Judge one request and yield after each sample, in the order in which they end.

    Args:
        pipe: the judge.
        query, responses: as for a call of `pipe`; one request.
        settings: as for a call of `pipe`.

    Yields:
        What `pipe(..., return_samples=True)` would say of the samples so far: `k` counts them, and each has its number
        as `sample`. `latest` is the number of the one that has just ended, and `done` False. A meta RM rates when all
        are there, so until then all readable ones vote. The last step is the pipeline's own result, with `done` True
        and `latest` None. Closing the iterator ends the judging at the next sample.

    Raises:
        InvalidInput: before anything is sampled: what cannot be judged, or settings that do not go together.
    """
    row = query if responses is None else {"query": getattr(query, "messages", query), "responses": responses}
    pipe.check(row, **settings)
    return _followed(_Judging(pipe, row, settings), pipe.configuration(**settings), to_request(row).n)


def _followed(judging: _Judging, config: GRMConfig, n: int) -> Iterator[dict[str, Any]]:
    legal, found = score_range(config.template), {}
    for prompt, completion in judging:
        found[prompt.sample] = parse(completion, prompt.order, prompt.seed, legal)
        yield _step(dict(sorted(found.items())), config, n) | {"latest": prompt.sample, "done": False}
    yield _numbered(judging.result, range(judging.result["k"])) | {"latest": None, "done": True}


def _step(found: Mapping[int, Critique], config: GRMConfig, n: int) -> dict[str, Any]:
    critiques = list(found.values())
    rule = None if config.rule in META_RULES else config.rule
    result = vote(critiques, n, quorum=config.quorum, rule=rule)
    sure = confidence(critiques, n, result.voters, result.best, config.confidence)
    return _numbered(result.to_dict(samples=True) | {"confidence": sure}, found)


def _numbered(result: dict[str, Any], numbers: Iterable[int]) -> dict[str, Any]:
    samples = [sample | {"sample": at} for at, sample in zip(numbers, result["samples"], strict=True)]
    return result | {"samples": samples}


class _Judging:
    """One call of the pipeline in a thread; iterating gives (prompt, completion) as they end, then `result` is set."""

    def __init__(self, pipe: RewardScoringPipeline, row: Any, settings: Mapping[str, Any]) -> None:
        self.pipe, self.row, self.settings = pipe, row, settings
        self.result: dict[str, Any] = {}
        self._ended: SimpleQueue[tuple[Prompt, Completion] | BaseException | None] = SimpleQueue()
        self._stopped = Event()

    def __iter__(self) -> Iterator[tuple[Prompt, Completion]]:
        thread = Thread(target=self._judge, daemon=True)
        thread.start()
        try:
            while (said := self._ended.get()) is not None:
                if isinstance(said, BaseException):
                    raise said
                yield said
        finally:
            self._stopped.set()
            thread.join()

    def _judge(self) -> None:
        recorded = self.settings.get("record")
        record = (lambda engine: self._tapped(recorded(engine))) if recorded else self._tapped
        try:
            self.result = self.pipe(self.row, **{**self.settings, "record": record, "return_samples": True})
            self._ended.put(None)
        except BaseException as error:  # whatever it is, it belongs to who iterates
            self._ended.put(error)

    def _tapped(self, engine: Generate) -> Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]:
        def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            asked: list[Prompt] = []
            for index, completion in engine(_noted(prompts, asked)):
                if self._stopped.is_set():
                    return
                self._ended.put((asked[index], completion))
                yield index, completion

        return generate


def _noted(prompts: Iterable[Prompt], asked: list[Prompt]) -> Iterator[Prompt]:
    for prompt in prompts:
        asked.append(prompt)
        yield prompt
