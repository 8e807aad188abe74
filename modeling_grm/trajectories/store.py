"""The one writer of a store: which samples it has, which are still to be made, and where they go.

Sits at the `Generate` seam: a prompt whose sample is stored is answered from the store, any other by the engine, and
what the engine answers is on the disk before it is handed on. Knows nothing about how samples are voted on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from ..scoring_grm import Generate
from ..types_grm import Completion, InvalidInput, Outcome, Prompt, Request
from ..voting_grm import item_hash
from .arrow import pa
from .card import write_card
from .journal import Journal, journal_path
from .opening import put_rows, recover, settle
from .samples import FACTS, Asked, Facts, arrangement, completion_of, response_hashes, row_of
from .schema import Settings, checked_labels
from .shards import UnwritableStore, next_number, number_of, open_shard, reading, shards, sole_writer, writing

ROLL_ROWS = 4096  # rows a shard
ROLL_BYTES = 64 << 20  # or that much of a journal
PILE = 4096  # stored samples that may wait while an engine reads on
SHARDS_AT_HAND = 4
_ANSWER = (
    "text", "numbers", "truncated", "prompt_tokens", "completion_tokens", "error", "constrained", "order", "outcome",
    "scores", "expected",
)  # fmt: skip
Encode = Callable[[Sequence[dict[str, str]]], Sequence[int]]
"""Chat messages as the token ids that go to the engine."""


@dataclass
class _Open:
    """A registered request: its prompts are being made, or its samples."""

    request: Request
    places: tuple[int, ...]
    uses: int
    prompted: bool = False


class Store:
    """A trajectory store, opened to be written; a context manager.

    Args:
        folder: of the store; made where it is not there.
        settings: of this run.
        text: False writes no texts (queries, responses, judgements), only hashes, scores, labels and outcomes. None
            goes on as the store was begun, a new one with texts.
        mix: take samples into a store of other settings; readers tell them apart by the column `settings`.
        backend_version: the engine's, recorded with each sample. It is no part of the settings.

    Attributes:
        made: samples that the engine has made since it was opened.
        found: samples that the store had.

    Raises:
        InvalidInput: the folder holds other things, another process writes into it, a shard is damaged, or the store
            was made with other settings (by name).
        UnwritableStore: the disk is full.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Settings,
        *,
        text: bool | None = None,
        mix: bool = False,
        backend_version: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.settings = settings
        self.backend_version = backend_version
        self.made = self.found = 0
        self._open: dict[str, _Open] = {}
        self._pending: dict[str, dict[str, Any]] = {}
        self._journal: Journal | None = None
        self._rows = lru_cache(SHARDS_AT_HAND)(self._load_rows)
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidInput(f"{self.folder}: is a file; give the folder of a store, or of one to be made")
        with ExitStack() as held:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(sole_writer(self.folder))
                self.text = settle(self.folder, settings, text, mix)
                recover(self.folder)
            self._paths: list[Path] = []
            self._index: dict[bytes, tuple[int, int]] = {}
            self._facts: dict[str, Facts] = {}
            for path in shards(self.folder, "data"):
                self._index_shard(path)
            self._held = held.pop_all()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, UnwritableStore):
            self._let_go()
        else:
            self.close()

    def __len__(self) -> int:
        """Samples with an answer; one that the engine failed to make is none."""
        answered = (row for row in self._pending.values() if row["outcome"] != Outcome.ENGINE_ERROR.value)
        return len(self._index) + sum(bytes.fromhex(row["key"]) not in self._index for row in answered)

    def register(
        self,
        request: Request,
        *,
        id: str | None = None,
        labels: Any = None,
        best: Any = None,
        source: str | None = None,
        licence: str | None = None,
    ) -> None:
        """Say what row a request comes from; do so for each one just before its prompts are made.

        An item that the store already has (from an earlier run, or under another id) keeps what was first said of it,
        and its responses' first order: all its samples stand in one arrangement, also where another row swaps them.

        Raises:
            InvalidInput: labels that are not one number a response, a `best` that is no index, or one item registered
                in two orders of its responses before the prompts of the first were made.
        """
        item, hashes = item_hash(request), response_hashes(request)
        numbers, index = checked_labels(labels, best, request.n)
        facts = self._facts.setdefault(item, Facts(id, numbers, index, source, licence, hashes))
        places = arrangement(hashes, facts.response_hashes)
        before = self._open.get(item)
        if before and before.places != places and not before.prompted:
            raise InvalidInput(
                f"id: {id!r} has the responses of {facts.id!r} in another order, and nobody has asked for that one's "
                "samples yet; register each request just before its prompts are made"
            )
        self._open[item] = _Open(request, places, before.uses + 1 if before else 1)

    def release(self, request: Request) -> None:
        """All samples of a registered request have come; its texts need not be held any more."""
        item = item_hash(request)
        if item in self._open:
            self._open[item].uses -= 1
            if not self._open[item].uses:
                del self._open[item]

    def recording(self, generate: Generate, encode: Encode | None = None) -> Generate:
        """The engine behind the store: only samples that it does not have are made, and each is kept as it comes.

        Args:
            generate: the engine; called again for later prompts where many stored ones lie between.
            encode: the engine's tokenizer, for the hash of the token ids; else the messages are hashed.

        Raises (while it runs):
            InvalidInput: a prompt of a request that was not registered.
            UnwritableStore: the disk is full.
        """

        def recorded(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            numbered = enumerate(prompts)
            for index, prompt in numbered:
                stored = self._find(prompt)
                if stored is not None:
                    yield index, stored
                else:
                    yield from self._make(generate, encode, chain([(index, prompt)], numbered))

        return recorded

    def close(self) -> None:
        """Turn what is left in the journal into a shard, write the card, and let the store go."""
        try:
            with writing(self.folder):
                self._roll()
                if self.made or not (self.folder / "README.md").exists():
                    write_card(self.folder)
        finally:
            self._let_go()

    def _make(
        self, generate: Generate, encode: Encode | None, numbered: Iterator[tuple[int, Prompt]]
    ) -> Iterator[tuple[int, Completion]]:
        """Answers prompts from the engine, until all are answered or too many stored ones have piled up."""
        stored: deque[tuple[int, Completion]] = deque()
        asked: dict[int, Asked] = {}
        waiting: dict[str, list[int]] = {}

        def missing() -> Iterator[Prompt]:
            count = 0
            for index, prompt in numbered:
                completion, key = self._find(prompt), self.settings.key(prompt)
                if completion is not None:
                    stored.append((index, completion))
                    if len(stored) >= PILE:
                        return
                elif key in waiting:
                    waiting[key].append(index)
                else:
                    waiting[key], asked[count] = [index], self._ask(key, prompt)
                    count += 1
                    yield prompt

        for number, completion in generate(missing()):
            sample = asked.pop(number)
            self._append(sample, completion, encode and encode(sample.prompt.messages))
            yield from ((index, completion) for index in waiting.pop(sample.key))
            while stored:
                yield stored.popleft()
        yield from stored

    def _ask(self, key: str, prompt: Prompt) -> Asked:
        known = self._open.get(prompt.item)
        if known is None:
            raise InvalidInput(
                f"item {prompt.item[:16]}: not registered; call store.register(request) before scoring it"
            )
        return Asked(key, prompt, known.request, known.places, self._facts[prompt.item])

    def _find(self, prompt: Prompt) -> Completion | None:
        """A stored sample's completion; None where it is still to be made, or an engine failed to make it."""
        if prompt.item in self._open:
            self._open[prompt.item].prompted = True
        key = self.settings.key(prompt)
        row = self._pending.get(key)
        place = self._index.get(bytes.fromhex(key)) if row is None else None
        if place is not None:
            row = self._rows(place[0]).slice(place[1], 1).to_pylist()[0]
        if row is None or row["outcome"] == Outcome.ENGINE_ERROR.value:
            return None
        self.found += 1
        return completion_of(row, self.settings.score_range)

    def _append(self, sample: Asked, completion: Completion, prompt_ids: Sequence[int] | None) -> None:
        row = row_of(
            sample,
            completion,
            self.settings,
            text=self.text,
            backend_version=self.backend_version,
            prompt_ids=prompt_ids,
        )
        with writing(self.folder):
            if self._journal is None:
                number = next_number(self._paths)
                self._journal = Journal(journal_path(self.folder, number))
            self._journal.append(row)
            self._pending[sample.key] = row
            self.made += completion.error is None
            if len(self._pending) >= ROLL_ROWS or self._journal.bytes >= ROLL_BYTES:
                self._roll()

    def _roll(self) -> None:
        """The journal becomes a shard; from there on, the shard is what counts."""
        if self._journal is None:
            return
        path = put_rows(self.folder, number_of(self._journal.path), list(self._pending.values()))
        self._journal.path.unlink(missing_ok=True)
        self._journal.close()
        self._journal = None
        self._pending.clear()
        self._index_shard(path)

    def _index_shard(self, path: Path) -> None:
        """Note where each sample lies and what is said of each item; the last word on a sample counts."""
        number = len(self._paths)
        self._paths.append(path)
        with open_shard(path) as shard, reading(path):
            table = shard.read(["key", "outcome", "item", *FACTS])
        keys, outcomes, items = (table[name].to_pylist() for name in ("key", "outcome", "item"))
        for row, (key, outcome) in enumerate(zip(keys, outcomes, strict=True)):
            if outcome != Outcome.ENGINE_ERROR.value:
                self._index[bytes.fromhex(key)] = (number, row)
        first: dict[str, int] = {}
        for row, item in enumerate(items):
            if item not in self._facts:
                first.setdefault(item, row)
        said = table.select(FACTS).take(pa.array(first.values(), pa.int64()))
        for item, facts in zip(first, said.to_pylist(), strict=True):
            self._facts[item] = Facts(**facts | {"response_hashes": tuple(facts["response_hashes"])})

    def _load_rows(self, number: int) -> Any:
        path = self._paths[number]
        with open_shard(path) as shard, reading(path):
            return shard.read(list(_ANSWER))

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._held.close()
