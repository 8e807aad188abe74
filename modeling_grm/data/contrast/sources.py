"""Real prompts with real good responses, from MIT / Apache-2.0 files of the training folder.

    Seed("uf-train-27808", "UltraFeedback", "how to cook t-bone in the oven", ("To cook a ...",), "open", "MIT")

Knows which rows are fit to build on (English prose, no code, one user turn); knows nothing about defects.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arithmetic import Check, Unclear, read

MAX_PROMPT_WORDS = 70
WIDE_PROMPT_WORDS = 150
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"')\]]*|\n|$)\s*")
_GREETING = re.compile(
    r"(?:sure|of course|certainly|absolutely|hello|hi|hey|greetings|thank|great|yes|i'?d be|i would be|i'm|i am)\b",
    re.I,
)
EVASION = re.compile(r"(?:i'm sorry|i apologi[sz]e|sorry|unfortunately|as an ai|i understand)", re.I)
OTHER_LANGUAGE = re.compile(r"\btranslat|\bin (?:spanish|french|german|italian|portuguese|chinese)\b", re.I)
_UNFIT = re.compile(rf"```|<[a-z/!]|https?://|{OTHER_LANGUAGE.pattern}", re.I)


@dataclass(frozen=True)
class Seed:
    """One prompt and its good responses (best first). `kind` is open, question or math.

    `checks` are a worked solution's calculations, if all of them are written out.
    """

    id: str
    source: str
    prompt: str
    good: tuple[str, ...]
    kind: str
    license: str
    answer: str | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class HumanPair:
    """A human preference as the source has it."""

    id: str
    source: str
    conversation: tuple[dict[str, str], ...]
    chosen: str
    rejected: str
    license: str


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a gzip JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sentences(text: str) -> list[str]:
    """The text's sentences, each stripped; list markers and line breaks end one."""
    return [found.strip() for found in _SENTENCE.findall(text) if found.strip()]


def words(text: str) -> int:
    """How many white-space separated words."""
    return len(text.split())


def length(text: str) -> tuple[int, int]:
    """Words, and where those are equal, characters: by this the grown set and the pools are balanced."""
    return words(text), len(text)


def places(texts: Sequence[str], best: int) -> range:
    """Where one text may stand among all by `length`, the longest first; several places in a tie."""
    lengths = [length(text) for text in texts]
    longer = sum(other > lengths[best] for other in lengths)
    return range(longer, longer + lengths.count(lengths[best]))


def trim(text: str, target: int) -> str | None:
    """Whole leading sentences with about `target` words, or None where they do not end like a finished text."""
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and words(" ".join([*kept, sentence])) > target + 6:
            break
        kept.append(sentence)
    while kept and not re.search(r"[.!?][\"')\]]*$", kept[-1]):
        kept.pop()
    trimmed = " ".join(kept)
    return trimmed if 5 <= words(trimmed) <= target + 25 and not re.search(r"\d\.$", trimmed) else None


def without_greeting(text: str) -> str | None:
    """The text from its first sentence that is no greeting on; None for an evasive one, which is no good response."""
    parts = sentences(text)
    while parts and _GREETING.match(parts[0]):
        parts.pop(0)
    return "\n".join(parts) if parts and not EVASION.match(parts[0]) else None


def is_plain_english(text: str) -> bool:
    """Mostly ASCII prose without code, markup, links or a wish for another language."""
    return bool(text) and sum(map(str.isascii, text)) >= 0.98 * len(text) and not _UNFIT.search(text)


def _fits(prompt: str, responses: Iterable[str], most: int) -> bool:
    return 3 <= words(prompt) <= most and is_plain_english(prompt) and all(map(is_plain_english, responses))


def _ultrafeedback(row: dict[str, Any], most: int) -> Seed | None:
    turns, labels = row["conversation"], row["labels"]
    ranked = sorted(zip(labels, row["responses"], strict=True), reverse=True)
    plain = (without_greeting(text) for label, text in ranked if label >= 7.5)
    good = tuple(text for text in plain if text and trim(text, 30))
    if len(turns) != 1 or not good or not _fits(turns[0]["content"], good, most):
        return None
    return Seed(row["id"], "UltraFeedback", turns[0]["content"].strip(), good, "open", "MIT")


def _qa_feedback(row: dict[str, Any], most: int) -> Seed | None:
    question = row["conversation"][-1]["content"].split("\n")[0].strip()
    ranked = sorted(zip(row["labels"], row["responses"], strict=True), reverse=True)
    good = tuple(text for _, text in ranked[:2] if trim(text, 30))
    if not good or not _fits(question, good, most):
        return None
    return Seed(row["id"], "QA-Feedback", question, good, "question", "Apache-2.0")


def _gsm8k(row: dict[str, Any], _: int) -> Seed | None:
    working = re.sub(r"<<.*?>>", "", row["responses"][0]).split("\n#### ")[0].replace("\n", " ")
    answer = row["reference"].replace(",", "")
    last = re.findall(r"-?\d[\d,]*(?:\.\d+)?", working)
    if not last or last[-1].replace(",", "") != answer or not answer.isdigit() or words(working) > 55:
        return None
    return Seed(row["id"], "GSM8K", row["conversation"][0]["content"], (working,), "math", "MIT", answer, _checks(row))


def _checks(row: dict[str, Any]) -> tuple[Check, ...]:
    try:
        right = read(row["responses"][0]).right
    except Unclear:
        return ()
    return right.checks if right.written_out else ()


SOURCES: dict[str, tuple[Callable[[dict[str, Any], int], Seed | None], int]] = {
    "ultrafeedback_sample.jsonl.gz": (_ultrafeedback, 1200),
    "qa_feedback_dev.jsonl.gz": (_qa_feedback, 500),
    "gsm8k_problems.jsonl.gz": (_gsm8k, 900),
}
HUMAN_SOURCES = {
    "hh_rlhf_harmless_test.jsonl.gz": ("hh-rlhf", "MIT"),
    "ultrafeedback_sample.jsonl.gz": ("UltraFeedback", "MIT"),
}


def read_seeds(folder: Path, *, wide: bool = False) -> list[Seed]:
    """All usable seeds, a stable order.

    Args:
        folder: where the source files are.
        wide: all of each source, with longer prompts too; else at most the table's number of each.
    """
    seeds: list[Seed] = []
    for name, (convert, limit) in SOURCES.items():
        found = (convert(row, WIDE_PROMPT_WORDS if wide else MAX_PROMPT_WORDS) for row in read_jsonl(folder / name))
        seeds += [seed for seed in found if seed][: None if wide else limit]
    return seeds


def read_human_pairs(folder: Path) -> list[HumanPair]:
    """Short human (or GPT-4 scored) pairs with a clear preference."""
    pairs = []
    for name, (source, licence) in HUMAN_SOURCES.items():
        for row in read_jsonl(folder / name):
            best, texts = row["best"], row["responses"]
            gap = max(row["labels"]) - min(row["labels"])
            total = sum(words(turn["content"]) for turn in row["conversation"]) + sum(map(words, texts))
            if best is None or len(texts) != 2 or gap < 1 or total > 160 or not all(texts):
                continue
            turns = tuple(row["conversation"])
            pairs.append(HumanPair(row["id"], source, turns, texts[best], texts[1 - best], licence))
    return pairs
