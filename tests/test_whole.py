"""data/pools/whole: a defect put into a whole response is what it claims, whatever the text looks like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import write_sources

from modeling_grm.data.contrast.defects import Candidate, Case
from modeling_grm.data.contrast.grown import PARTS
from modeling_grm.data.contrast.phrases import EMPTY, LANGUAGES, REFUSALS, pool
from modeling_grm.data.contrast.sources import Seed, sentences, words
from modeling_grm.data.contrast.strengths import GRADED, STRENGTHS
from modeling_grm.data.pools.balance import balanced, signs
from modeling_grm.data.pools.entries import Entry
from modeling_grm.data.pools.whole import _FINISHED, MAKERS, MOST, QUOTE, SOLUTIONS, TOPIC, read_whole, unfit
from modeling_grm.data.preference import Preference, Report
from modeling_grm.parsing_grm import parse
from modeling_grm.types_grm import Completion, Critique, Request

CODE = """def area(a, b):
    # of one rectangle
    if a < 0 or b < 0:
        raise ValueError(a)
    print("the area is", a * b, "square metres")"""
PROSE = "Warm the oven to 200 degrees. Salt the meat well. Roast it for an hour, and let it rest before it is cut."
FORMULAS = "1. Let $x=\\frac{1}{2}$ and $y=3$.\n\n2. Then $x+y=\\frac{7}{2}$, so $2x+2y=7$.\n\n3. So the answer is $7$."
OTHER = "Rome was founded in 753.\n\nIts first kings are legends, and nobody knows more than that."
FENCED = """Use the built-in function for it:

```python
print(sum([1, 2, 3]))
```

It adds up whatever the list holds.
```"""
PIECES = [one.strip() for text in (CODE, PROSE, FORMULAS, FENCED) for one in (*text.split("\n"), *sentences(text))]
TEXTS = {"fenced": FENCED, "code": CODE, "prose": PROSE, "formulas": FORMULAS}


def case_of(text: str, other: str, part: str = "train", seed: int = 0) -> Case:
    """What a defect is made from."""
    seeds = (Seed(name, "made", name, (said,), "open", "MIT") for name, said in (("one", text), ("two", other)))
    return Case(*seeds, part, Random(seed))


# --------------------------------------------------------------------------- what each defect claims


def _begins(text: str, good: str, least: int, most: int) -> bool:
    """The first words of the good text, so many fewer, cut within a line and a sentence."""
    rest = good.removeprefix(text)
    within = re.match(r"[,;:]*[ \t]+\S", rest) and not _FINISHED.search(text)
    return good.startswith(text) and bool(within) and least <= words(good) - words(text) <= most


def _ends(text: str, good: str, wanted: Callable[[str], bool]) -> bool:
    """The good text, or all but its last line or sentence, and then what is wanted."""
    last = max(good.rfind("\n"), 0) or good.rfind(". ") + 1
    starts = (good, good[:last].rstrip())
    return any(text.startswith(start) and wanted(text.removeprefix(start).strip()) for start in starts)


def _foreign(text: str, good: str, phrases: tuple[str, ...]) -> bool:
    return _ends(text, good, lambda rest: rest in phrases)


def _of(text: str, phrases: tuple[str, ...]) -> bool:
    """Nothing but the pool's sentences."""
    for phrase in phrases:
        text = text.replace(phrase, "")
    return not text.strip()


def _tongues(part: str) -> list[tuple[str, ...]]:
    return [pool(phrases, part) for phrases in LANGUAGES.values()]


def _lines(text: str) -> Counter[str]:
    return Counter(line.strip() for line in text.splitlines())


CLAIMS: dict[tuple[str, str], Callable[[str, str, Case], bool]] = {
    ("off_topic", "plain"): lambda text, good, case: text == case.other.good[0],
    ("off_topic", "subtle"): lambda text, good, case: _ends(
        text, good, lambda rest: words(rest) >= 5 and rest in case.other.good[0]
    ),
    ("scrambled", "plain"): lambda text, good, case: Counter(text.split()) == Counter(good.split()),
    ("cut_short", "clear"): lambda text, good, case: _begins(text, good, 1, words(good) - 3),
    ("cut_short", "subtle"): lambda text, good, case: _begins(text, good, 2, 3),
    ("repeated", "plain"): lambda text, good, case: (
        len(_lines(text)) == 1 and max(_lines(text).values()) >= 3 and text.splitlines()[0] in good
    ),
    ("repeated", "clear"): lambda text, good, case: max(_lines(text).values()) >= 3 and len(_lines(text)) > 1,
    ("repeated", "subtle"): lambda text, good, case: any(
        good == text.replace(f"{line}\n{line}", line) or good == text.replace(f"{line} {line}", line) for line in PIECES
    ),
    ("contentless", "plain"): lambda text, good, case: _of(text, pool(EMPTY, case.split)),
    ("contentless", "subtle"): lambda text, good, case: _foreign(text, good, pool(EMPTY, case.split)),
    ("refusal", "plain"): lambda text, good, case: _of(text, pool(REFUSALS, case.split)),
    ("refusal", "subtle"): lambda text, good, case: _foreign(text, good, pool(REFUSALS, case.split)),
    ("wrong_language", "plain"): lambda text, good, case: any(_of(text, one) for one in _tongues(case.split)),
    ("wrong_language", "subtle"): lambda text, good, case: any(
        _foreign(text, good, one) for one in _tongues(case.split)
    ),
}


def test_each_defect_has_a_verdict_and_a_claim() -> None:
    assert set(CLAIMS) == set(MAKERS)
    assert all(strength in GRADED[name] for name, strength in MAKERS)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(("name", "strength"), MAKERS)
def test_a_defect_is_what_it_claims(name: str, strength: str, kind: str, part: str) -> None:
    good, other = (
        TEXTS[kind],
        "Rome was founded in 753.\n\nIts first kings are legends, and nobody knows more than that.",
    )
    for seed in range(20):
        case = case_of(good, other, part, seed)
        made = MAKERS[name, strength](case, good)
        assert made is not None
        assert made.defect == name
        assert made.text != good
        assert CLAIMS[name, strength](made.text, good, case)
        said = GRADED[name][strength].verdict.format(**made.facts)
        spot = made.facts.get("spot", "")
        assert spot in said
        assert spot in " ".join(made.text.replace('"', "'").split())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Zs", "Cc", "Zl", "Zp"]), min_size=1), min_size=1, max_size=40),
    st.sampled_from(sorted(MAKERS)),
)
def test_any_text_gets_a_defect_or_none(pieces: list[str], named: tuple[str, str]) -> None:
    good = " ".join(pieces)
    made = MAKERS[named](case_of(good, PROSE), good)
    assert made is None or (isinstance(made, Candidate) and made.defect == named[0])


# --------------------------------------------------------------------------- items


@pytest.fixture(scope="module", params=["made", "real"])
def entries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Those of the files made here, and of the real ones."""
    made = request.param == "made"
    folder = write_sources(tmp_path_factory.mktemp("train")) if made else request.getfixturevalue("grm_data") / "train"
    report = Report()
    found = list(read_whole(folder, report))
    assert len(found) == report.kept.total()
    return found


def test_items_are_of_all_sizes_and_defects(entries: list[Entry]) -> None:
    assert {entry.n for entry in entries} == {1, 2, 3, 4}
    shown = {pair for entry in entries for pair in zip(entry.defects or (), entry.strengths or (), strict=True)}
    assert shown == {(None, None), *MAKERS}
    assert len({entry.item.id for entry in entries}) == len(entries)
    assert {entry.pool for entry in entries} == {"whole"}
    singles = [entry.defects for entry in entries if entry.n == 1]
    assert 0.3 < sum(found == (None,) for found in singles) / len(singles) < 0.7


def test_a_judgement_says_what_is_wrong_and_can_be_read(entries: list[Entry]) -> None:
    for entry in entries:
        text = str(entry.target)
        critique = parse(Completion(text), range(entry.n))
        assert isinstance(critique, Critique)
        assert critique.scores == entry.item.labels
        assert [critique.scores.index(max(critique.scores))] == [entry.item.best] or entry.n == 1
        assert entry.item.label != 1
        criteria, _, analysis = text.partition(".\nAnalysis: ")
        assert len(criteria) < TOPIC + 120
        assert len(analysis) < entry.n * (2 * QUOTE + 160)


def test_one_good_response_is_the_sources_own(entries: list[Entry]) -> None:
    for entry in entries:
        defects = entry.defects or ()
        assert len(set(entry.item.request.responses)) == entry.n
        assert entry.n == 1 or [at for at, name in enumerate(defects) if name is None] == [entry.item.best]
        if entry.item.best is not None:
            assert words(entry.item.request.responses[entry.item.best]) <= MOST


def test_the_same_files_give_the_same_items(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    first, again = (list(read_whole(folder, Report())) for _ in range(2))
    assert [entry.to_dict() for entry in first] == [entry.to_dict() for entry in again]


@pytest.mark.parametrize("strength", STRENGTHS)
def test_length_does_not_tell_the_best(entries: list[Entry], strength: str) -> None:
    kept = balanced((entry for entry in entries if entry.strength == strength), Report())
    longer = Counter(signs(entry)[0] for entry in kept if entry.n == 2)
    assert longer[1] == longer[-1] > 0


def test_a_prompt_that_does_not_fit_is_not_used(tmp_path: Path) -> None:
    report = Report()
    found = list(read_whole(write_sources(tmp_path), report, fits=lambda prompt: "box" not in prompt))
    assert {entry.item.source for entry in found} == {"UltraFeedback", "LLaMA-Factory"}
    assert report.dropped["whole: PRMBench", "its prompt is in a benchmark"] == 160


def test_another_solution_is_not_called_off_topic(entries: list[Entry]) -> None:
    solved = [entry for entry in entries if entry.item.source in SOLUTIONS]
    own = {text for entry in solved for text, name in _responses(entry) if name is None}
    assert not {text for entry in solved for text, name in _responses(entry) if name == "off_topic"} & own


def test_a_list_has_no_response_of_the_good_ones_very_length(entries: list[Entry]) -> None:
    for entry in entries:
        assert entry.n <= 2 or "scrambled" not in (entry.defects or ())


def test_a_solution_keeps_its_answer() -> None:
    case = case_of(FORMULAS, OTHER)
    case = replace(case, seed=replace(case.seed, source="PRMBench"))
    for name in ("contentless", "refusal", "wrong_language", "off_topic"):
        for _ in range(20):
            made = MAKERS[name, "subtle"](case, FORMULAS)
            assert made is not None
            assert made.text.startswith(FORMULAS)


def _responses(entry: Entry) -> Iterator[tuple[str, str | None]]:
    return zip(entry.item.request.responses, entry.defects or (), strict=True)


@pytest.mark.parametrize(
    ("text", "labels", "said"),
    [
        (PROSE, (9.0, 3.0), None),
        (PROSE, (1.0, 0.0), None),
        (PROSE, (5.0, 3.0), "is rated low"),
        (f"I'm sorry, but {PROSE}", (9.0, 3.0), "is evasive"),
        (f"I cannot say. {PROSE}", (9.0, 3.0), "is evasive"),
        (f"{PROSE} And then", (9.0, 3.0), "is unfinished"),
        ("42", (9.0, 3.0), None),
        (f"{PROSE} " * 20, (9.0, 3.0), "has more than 160 words"),
    ],
)
def test_what_is_no_good_response_is_named(text: str, labels: tuple[float, ...], said: str | None) -> None:
    request = Request([{"role": "user", "content": "How?"}], [text, "another"])
    assert unfit(Preference(request, 0, labels, "made", "MIT", "one")) == (said and f"its best response {said}")


@pytest.mark.parametrize("asked", ["Say it in French.", "Say it in Hindi, please.", "Translate it."])
def test_a_wish_for_another_language_is_no_prompt(asked: str) -> None:
    request = Request([{"role": "user", "content": asked}], [PROSE, "another"])
    assert unfit(Preference(request, 0, (9.0, 3.0), "made", "MIT", "one")) == "its prompt may ask for another language"
