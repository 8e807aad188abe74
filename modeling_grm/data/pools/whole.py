"""Whole responses of any kind, code, lists and mathematics among them, with a defect made by rule.

    good                 "def area(a, b):\\n    return a * b"
    cut short, 5/10      "def area(a, b):\\n"

The contrast pool cuts its responses to some sentences of plain prose. A judge that has seen no others loses itself in
what it then has to quote: it wrote zeros without end behind an odd prompt. Here a response is as its source has it, and
the defects are the contrast set's, with its verdicts and scores, made without cutting sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ...types_grm import Request
from ..contrast.build import COUNTS
from ..contrast.defects import Candidate, Case
from ..contrast.grown import PARTS, part_of
from ..contrast.phrases import EMPTY, LANGUAGES, pool
from ..contrast.sources import EVASION, Seed, sentences, words
from ..contrast.strengths import GRADED, Make, firm, spot
from ..contrast.targets import description, score, topic_of, verdict
from ..preference import Preference, Report
from .entries import Entry, asked
from .sources import MOST_WORDS, SOURCES, Source, readable
from .targets import Draft

FROM = {"ultrafeedback": 5, "llama-factory": 5, "prmbench": 1}
"""A name of `sources.SOURCES` -> items of each of its prompts."""
POOL = "whole"
KIND = "open"  # of the contrast set's kinds, for what a good response is called and deserves
FEWEST, MOST = 8, 160  # words of a good response
TOGETHER = 260  # words of all responses of an item, about; a longer good one stands beside one other
TOPIC, QUOTE = 80, 40  # characters; a formula may have no space
RATED = 7  # the least rating of 10 of a response that is called good
_FINISHED = re.compile(r"[.!?)\]}`\"'$]$")
_CRITERIA = (
    'relevance to "{topic}" (50%), completeness (30%), clarity (20%)',
    'help with "{topic}" (60%), a finished text (20%), no repetition (20%)',
)


# --------------------------------------------------------------------------- defects


def _pieces(text: str) -> list[str]:
    """Its lines where it has some, else its sentences; those with a few words."""
    lines = [line.strip() for line in text.splitlines()] if "\n" in text.strip() else sentences(text)
    return [line for line in lines if 3 <= words(line) <= 25]


def _up_to(text: str, count: int) -> str:
    """Its first words, spaced as they are."""
    return text[: [found.end() for found in re.finditer(r"\S+", text)][count - 1]]


def _off_topic(case: Case, good: str) -> Candidate | None:
    return Candidate(case.other.good[0], "off_topic") if case.other.prompt != case.seed.prompt else None


def _shuffled(case: Case, good: str) -> Candidate | None:
    mixed = good.split()
    case.rng.shuffle(mixed)
    return Candidate(" ".join(mixed), "scrambled")


def _half(case: Case, good: str) -> Candidate | None:
    kept = _up_to(good, max(4, round(words(good) * case.rng.uniform(0.35, 0.8))))
    return Candidate(kept.rstrip(",;:.!?"), "cut_short")


def _last_missing(case: Case, good: str) -> Candidate | None:
    kept = _up_to(good, words(good) - case.rng.randint(2, 3))
    return Candidate(kept.rstrip(",;:.!?"), "cut_short")


def _again_and_again(case: Case, good: str) -> Candidate | None:
    pieces = _pieces(good)
    if not pieces:
        return None
    return Candidate("\n".join([pieces[0]] * _times(case, good, pieces[0])), "repeated")


def _stuck(case: Case, good: str) -> Candidate | None:
    """Half of the text, and then its next line over and over."""
    half = _up_to(good, max(4, words(good) // 2))
    rest = [piece for piece in _pieces(good[len(half) :]) if piece not in half]
    if not rest:
        return None
    return Candidate("\n".join([half, *[rest[0]] * _times(case, half, rest[0])]), "repeated", {"spot": spot(rest[0])})


def _times(case: Case, text: str, piece: str) -> int:
    return max(3, min(8, round(case.width(text) / words(piece))))


def _twice(case: Case, good: str) -> Candidate | None:
    """One line stands there again, behind itself."""
    pieces = [piece for piece in _pieces(good) if good.count(piece) == 1]
    if not pieces:
        return None
    again = case.rng.choice(pieces)
    gap = "\n" if "\n" in good.strip() else " "
    return Candidate(good.replace(again, f"{again}{gap}{again}"), "repeated", {"spot": spot(again)})


def _with_end(good: str, ending: str, name: str, **facts: str) -> Candidate:
    gap = "\n\n" if "\n" in good.strip() else " "
    return Candidate(f"{good}{gap}{ending}", name, {"spot": spot(ending), **facts})


def _foreign_end(case: Case, good: str) -> Candidate | None:
    other = _off_topic(case, good)
    pieces = [piece for piece in _pieces(other.text) if words(piece) >= 5] if other else []
    return _with_end(good, case.rng.choice(pieces), "off_topic") if pieces else None


def _empty_end(case: Case, good: str) -> Candidate:
    return _with_end(good, case.rng.choice(pool(EMPTY, case.split)), "contentless")


def _refusing_end(case: Case, good: str) -> Candidate:
    return _with_end(good, case.rng.choice(firm(case.split)), "refusal")


def _other_tongue_end(case: Case, good: str) -> Candidate:
    language = case.rng.choice(sorted(LANGUAGES))
    return _with_end(good, case.rng.choice(pool(LANGUAGES[language], case.split)), "wrong_language", language=language)


MAKERS: dict[tuple[str, str], Make] = {
    ("off_topic", "plain"): _off_topic,
    ("off_topic", "subtle"): _foreign_end,
    ("scrambled", "plain"): _shuffled,
    ("cut_short", "clear"): _half,
    ("cut_short", "subtle"): _last_missing,
    ("repeated", "plain"): _again_and_again,
    ("repeated", "clear"): _stuck,
    ("repeated", "subtle"): _twice,
    ("contentless", "plain"): GRADED["contentless"]["plain"].make,
    ("contentless", "subtle"): _empty_end,
    ("refusal", "plain"): GRADED["refusal"]["plain"].make,
    ("refusal", "subtle"): _refusing_end,
    ("wrong_language", "plain"): GRADED["wrong_language"]["plain"].make,
    ("wrong_language", "subtle"): _other_tongue_end,
}
"""Defect and strength, as `contrast.strengths.GRADED` has them -> how it is put into a whole response."""


# --------------------------------------------------------------------------- items


@dataclass(frozen=True)
class Good:
    """A prompt with its good response."""

    item: Preference
    part: str
    text: str

    @property
    def seed(self) -> Seed:
        """As the contrast set's defects take it."""
        return Seed(self.item.id, self.item.source, self.item.request.query[-1]["content"], (self.text,), "open", "")


def unfit(item: Preference) -> str | None:
    """Why an item's best response cannot be called good or finished; None where it can."""
    if item.best is None:
        return "not one"
    text, ratings = item.request.responses[item.best], item.labels or (1.0,)
    checks = (
        ("rated low", 1 < max(ratings) < RATED),
        ("evasive", bool(EVASION.match(text))),
        ("unfinished", not _FINISHED.search(text.rstrip())),
        (f"shorter than {FEWEST} or longer than {MOST} words", not FEWEST <= words(text) <= MOST),
    )
    return next((reason for reason, holds in checks if holds), None)


def read_whole(folder: Path, name: str, report: Report, most_words: int = MOST_WORDS) -> Iterator[Entry]:
    """The entries that one of `FROM` gives; what is unfit is dropped and counted.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    source = replace(SOURCES[name], pool=POOL)
    goods = list(_goods(folder, source, report, most_words))
    by_part = {part: [good for good in goods if good.part == part] for part in PARTS}
    for good in goods:
        found = [_broken(source, good, by_part[good.part], number) for number in range(FROM[name])]
        entries = [entry for entry in found if entry]
        if not entries:
            report.lose(source.label, "no defect that fits it", good.item.id)
        for _ in entries[1:]:
            report.keep(source.label)
        yield from entries


def _goods(folder: Path, source: Source, report: Report, most_words: int) -> Iterator[Good]:
    for item in readable(folder, source, report, most_words):
        reason = unfit(item)
        if reason or item.best is None:
            report.lose(source.label, f"its best response is {reason}", item.id)
            continue
        yield Good(item, part_of(asked(item.request.query)), item.request.responses[item.best].strip())


def _broken(source: Source, good: Good, others: Sequence[Good], number: int) -> Entry | None:
    """One item of a good response; n, the defects and the place go by its id."""
    rng = Random(f"whole {good.item.id} {number}")
    case = Case(good.seed, rng.choice(others).seed, good.part, rng)
    n = min(rng.choice(COUNTS), max(2, TOGETHER // words(good.text)))
    made = [*_made(case, good.text, max(1, n - 1))]
    if len(made) < max(1, n - 1):
        return None
    best = Candidate(good.text, None)
    shown = rng.sample([best, *made], n) if n > 1 else [rng.choice((best, *made))]
    return _entry(source, good, shown, number) if n > 1 or score(shown[0], KIND) > 1 else None


def _made(case: Case, good: str, count: int) -> Iterator[Candidate]:
    """So many different defects."""
    texts, names = {good}, set[str]()
    for name, strength in case.rng.sample(list(MAKERS), len(MAKERS)):
        made = MAKERS[name, strength](case, good) if name not in names and len(names) < count else None
        if made and made.text.strip() and made.text not in texts:
            texts.add(made.text)
            names.add(name)
            yield replace(made, strength=strength)


def _entry(source: Source, good: Good, shown: Sequence[Candidate], number: int) -> Entry:
    scores = tuple(score(one, KIND) for one in shown)
    best = next((at for at, one in enumerate(shown) if one.defect is None), None) if len(shown) > 1 else None
    request = Request(good.item.request.query, [one.text for one in shown])
    name = f"{good.item.id}-whole-{number}"
    item = Preference(request, best, tuple(map(float, scores)), source.name, good.item.licence, name)
    criteria = Random(name).choice(_CRITERIA).format(topic=topic_of(asked(request.query))[:TOPIC])
    said = tuple((description(one.text, QUOTE), verdict(one, KIND)) for one in shown)
    worst = min(shown, key=lambda one: (one.defect is None, score(one, KIND)))
    return Entry(
        item,
        source.pool,
        worst.defect or "none",
        tuple(one.defect for one in shown),
        tuple(one.strength or None for one in shown),
        worst.strength or None,
        programmatic=True,
        target=Draft(criteria, said, scores),
    )
