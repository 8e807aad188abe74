"""What a stored sample holds, column by column, and what makes two samples the same one.

Knows names, types and hashes; nothing about files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..configuration_grm import GRMConfig
from ..prompts_grm import find_template
from ..scoring_grm import score_range
from ..types_grm import InvalidInput, Prompt
from .arrow import pa

FORMAT = 1


class Column(NamedTuple):
    """One column: `text` marks what a store without text leaves empty."""

    name: str
    type: Any
    note: str
    text: bool = False


_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_NUMBERS = pa.list_(pa.struct([("place", pa.int32()), ("number", pa.int32()), ("chance", pa.float64())]))

COLUMNS = (
    Column("key", pa.string(), "SHA-256 of the messages, the sample's seed and the settings: the same key, one sample"),
    Column("item", pa.string(), "SHA-256 of what is judged, the same in every order of its responses"),
    Column("id", pa.string(), "the row's own id, as the caller named it"),
    Column("query", _TURNS, "chat messages, the user's last", text=True),
    Column("responses", pa.list_(pa.string()), "the responses, in the caller's order", text=True),
    Column("reference", pa.string(), "a reference answer that the judge saw", text=True),
    Column("principles", pa.string(), "the caller's principles that the judge saw", text=True),
    Column("n", pa.int32(), "how many responses"),
    Column("response_hashes", pa.list_(pa.string()), "SHA-256 of each response, 16 hex digits, in the caller's order"),
    Column("order", pa.list_(pa.int32()), "order[shown] = index in the caller's order"),
    Column("seed", pa.int64(), "the sample's own seed"),
    Column("sample", pa.int32(), "which of the item's samples, from 0"),
    Column("settings", pa.string(), "digest of the settings; store.json spells them out"),
    Column("template", pa.string(), "the prompt template's name, `custom` for a text of one's own"),
    Column("template_hash", pa.string(), "SHA-256 of the template's texts"),
    Column("model", pa.string(), "Hub id, or the folder's name"),
    Column("revision", pa.string(), "commit, or the hash of the folder's content"),
    Column("adapter", pa.string(), "LoRA adapter, where there is one"),
    Column("backend", pa.string(), "which engine wrote it"),
    Column("backend_version", pa.string(), "its version; not part of the settings"),
    Column("temperature", pa.float64(), "0 is greedy"),
    Column("top_p", pa.float64(), "nucleus mass"),
    Column("top_k", pa.int32(), "0 means all tokens"),
    Column("max_new_tokens", pa.int32(), "token budget of one judgement"),
    Column("constrain", pa.string(), "null, or `scores`: an unreadable judgement gets a scores line"),
    Column("run_seed", pa.int64(), "the user's seed: with the item it fixes orders and sample seeds"),
    Column("prompt_hash", pa.string(), "SHA-256 of the prompt's token ids, or of its messages where none were given"),
    Column("text", pa.string(), "what was written; its `Response 1` is the response shown first", text=True),
    Column("numbers", _NUMBERS, "where a score begins in `text`, with the chance of each number there", text=True),
    Column("truncated", pa.bool_(), "it ran into the token budget"),
    Column("outcome", pa.string(), "ok, truncated, no_scores, wrong_count, out_of_range or engine_error"),
    Column("scores", pa.list_(pa.int32()), "one a response in the caller's order; null unless ok"),
    Column("expected", pa.list_(pa.float64()), "expectation of each score under the score tokens' probabilities"),
    Column("meta_model", pa.string(), "the meta RM that rated it"),
    Column("meta_score", pa.float64(), "its rating, higher is more trustworthy"),
    Column("prompt_tokens", pa.int32(), "tokens read"),
    Column("completion_tokens", pa.int32(), "tokens written"),
    Column("error", pa.string(), "why the engine failed to make it", text=True),
    Column("constrained", pa.bool_(), "its scores line was written under a constraint"),
    Column("created", pa.timestamp("us", tz="UTC"), "when it was recorded"),
    Column("labels", pa.list_(pa.float64()), "one a response, where someone judged them"),
    Column("best", pa.int32(), "index of the response labelled best"),
    Column("source", pa.string(), "where the row comes from"),
    Column("licence", pa.string(), "the row's licence, as its source states it"),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
META_SCHEMA = pa.schema([("key", pa.string()), ("meta_model", pa.string()), ("meta_score", pa.float64())])
_NO_PROMPT = ("name", "note", "reconstructed")  # what a template says about itself
TEXT_COLUMNS = tuple(column.name for column in COLUMNS if column.text)


def digest(*parts: object) -> str:
    """Hex SHA-256 of the parts as JSON: quoted and escaped, so that no two run together."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode("ascii")).hexdigest()


def _messages(prompt: Prompt) -> list[list[str]]:
    return [[turn["role"], turn["content"]] for turn in prompt.messages]


def prompt_hash(prompt: Prompt, ids: Sequence[int] | None) -> str:
    """SHA-256 of the prompt's token ids, or of its messages where there are none."""
    return digest(_messages(prompt) if ids is None else list(ids))


@dataclass(frozen=True)
class Settings:
    """What a store's samples have in common; k is no part of it, so a run with a larger k adds samples.

    Attributes:
        model, revision, adapter, backend: which weights wrote them, and which engine.
        template, template_hash, score_range: the prompt template and its legal scores.
        temperature, top_p, top_k, max_new_tokens, constrain: how they were sampled.
        run_seed: the user's.
    """

    model: str
    revision: str | None
    adapter: str | None
    backend: str
    template: str
    template_hash: str
    score_range: tuple[int, int]
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    constrain: str | None
    run_seed: int

    @classmethod
    def of(
        cls,
        config: GRMConfig,
        *,
        model: str,
        backend: str,
        revision: str | None = None,
        adapter: str | None = None,
        seed: int = 0,
    ) -> Settings:
        """The settings of a run with this configuration.

        Raises:
            InvalidInput: the template asks for no scores.
        """
        found = find_template(config.template)
        texts = {name: value for name, value in asdict(found).items() if name not in _NO_PROMPT}
        return cls(
            model=model,
            revision=revision,
            adapter=adapter,
            backend=backend,
            template=found.name,
            template_hash=digest(texts),
            score_range=score_range(config.template),
            temperature=float(config.temperature),
            top_p=float(config.top_p),
            top_k=config.top_k,
            max_new_tokens=config.max_new_tokens,
            constrain=config.constrain,
            run_seed=seed,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, as they stand in `store.json`."""
        return asdict(self) | {"score_range": list(self.score_range)}

    @cached_property
    def digest(self) -> str:
        """16 hex digits that stand for all of it."""
        return digest(self.to_dict())[:16]

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns that are the same in each of its rows."""
        return {name: value for name, value in asdict(self).items() if name in SCHEMA.names} | {"settings": self.digest}

    def key(self, prompt: Prompt) -> str:
        """What names a sample: the same messages, seed and settings give the same key."""
        return digest(_messages(prompt), prompt.seed, self.digest)


def differences(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """What two settings do not share, a line each."""
    return [
        f"{name}: {stored.get(name)!r} in the store, {value!r} now"
        for name, value in asked.items()
        if stored.get(name) != value
    ]


def file_hash(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def content_hash(folder: str | Path) -> str:
    """The revision of a local checkpoint: `sha256:` and 16 hex digits of all its files but its Markdown.

    Reads every byte (about a second a gigabyte).
    """
    whole = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.suffix != ".md" and not any(part.startswith(".") for part in inside.parts):
            whole.update(f"{inside.as_posix()}\0{file_hash(path)}\n".encode())
    return f"sha256:{whole.hexdigest()[:16]}"


def checked_labels(labels: Any, best: Any, n: int) -> tuple[list[float] | None, int | None]:
    """A row's labels and best as they are stored.

    Raises:
        InvalidInput: not one number a response, or no index of one.
    """
    whole = isinstance(best, int) and not isinstance(best, bool)
    if best is not None and not (whole and 0 <= best < n):
        raise InvalidInput(f"best: {best!r} is not usable; give the index of one of the {n} responses, from 0")
    if labels is None:
        return None, best
    if not isinstance(labels, (list, tuple)) or len(labels) != n or not all(map(_is_number, labels)):
        raise InvalidInput(f"labels: {labels!r:.60} is not usable; give one number for each of the {n} responses")
    return [float(label) for label in labels], best


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1e300
