"""data/contrast: each defect in each strength is what it claims, the parts share nothing, the shipped set is as it was.

As in test_contrast.py, everything is checked on a small source folder that is made here, and on the real one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import write_sources
from test_contrast import CLAIMS, consists_of, instruction_of, leading, made_of, owners_of, seed_of, starts

from modeling_grm.data.contrast.build import COUNTS, build, split_of
from modeling_grm.data.contrast.defects import DEFECTS, last_number, with_answer
from modeling_grm.data.contrast.grown import PARTS, grow, part_of
from modeling_grm.data.contrast.instructions import INSTRUCTIONS, Instruction
from modeling_grm.data.contrast.phrases import EMPTY, LANGUAGES, NO_REFUSAL_ALONE, REFUSALS, everywhere, pool
from modeling_grm.data.contrast.sources import Seed, length, read_seeds, sentences, words
from modeling_grm.data.contrast.strengths import GRADED, STRENGTHS, near, spot
from modeling_grm.data.contrast.targets import GOOD_SCORES
from modeling_grm.parsing_grm import parse
from modeling_grm.types_grm import Completion, InvalidInput, Outcome

Row = dict[str, Any]
COMBINATIONS = [(defect, strength) for strength in STRENGTHS for defect in GRADED if strength in GRADED[defect]]
SIZES = {"train": 14 * len(COMBINATIONS), "meta": 8 * len(COMBINATIONS), "test": 4 * len(COMBINATIONS)}


@dataclass(frozen=True)
class Grown:
    """One folder's seeds and the three parts."""

    folder: Path
    seeds: dict[str, Seed]
    parts: dict[str, list[Row]]

    @property
    def rows(self) -> list[Row]:
        """All parts."""
        return [row for rows in self.parts.values() for row in rows]

    @cached_property
    def leading(self) -> dict[str, set[str]]:
        """See `owners_of`."""
        return owners_of(self.seeds.values())

    @cached_property
    def sentences(self) -> dict[str, set[str]]:
        """Each sentence of a best response -> the prompts that it answers."""
        owners: dict[str, set[str]] = {}
        for seed in self.seeds.values():
            for one in sentences(seed.good[0]):
                owners.setdefault(" ".join(one.split()), set()).add(seed.prompt)
        return owners


@pytest.fixture(scope="module", params=["made", "real"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """The grown set, from the folder made here and from the real one."""
    made = request.param == "made"
    folder = write_sources(tmp_path_factory.mktemp("train")) if made else request.getfixturevalue("grm_data") / "train"
    seeds = {seed.prompt: seed for seed in read_seeds(folder, wide=True)}
    return Grown(folder, seeds, {part: list(grow(folder, part, count)) for part, count in SIZES.items()})


# --------------------------------------------------------------------------- the shipped set is as it was

REAL = {
    ("train", 0): "094872bcb1d0925fe96447711da478507483339e8c843b2ea69aa3a582327621",
    ("train", 1): "eec3b7bb5e53d9cf44f89eec5851d5130883c8d5ef4efe03610156563544c6b6",
    ("test", 0): "4a575ca37890996a3464ea4e8d9430f66caa57e0993541d5af9d5fab0ec73149",
    ("test", 1): "c3a91ce4e431347860aaf1282d188762f8a0d8c24e08df0e46545c0ad9b230d8",
}
"""What the rows of `build` hash to: strengths and further defects of other sets leave them as they are."""


@pytest.mark.parametrize(("split", "seed"), REAL)
def test_the_shipped_set_keeps_its_bytes(grm_data: Path, split: str, seed: int) -> None:
    rows = build(grm_data / "train", split, {"train": 4000, "test": 400}[split], seed)
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == REAL[split, seed]


def test_the_stored_test_split_is_what_is_built(grm_data: Path) -> None:
    packed = (Path(__file__).parent / "data" / "contrast_test.jsonl.gz").read_bytes()
    stored = [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]
    assert stored == build(grm_data / "train", "test", 400)[: len(stored)]


# --------------------------------------------------------------------------- each strength is what it claims


def _texts(text: str) -> list[list[str]]:
    """A source's text cut behind each of its sentences, each as the sentences that it then has.

    A list without full stops is one sentence once its lines are joined.
    """
    return [sentences(" ".join(start)) for start in leading(text)]


def _after_first(text: str, seed: Seed) -> list[str]:
    """What may stand behind the first sentence of the seed's own text."""
    firsts = {" ".join(own[0].split()) for own in _texts(seed.good[-1])}
    return [text.removeprefix(first).strip() for first in firsts if text.startswith(f"{first} ")]


def _endings(text: str, whole: str) -> list[str]:
    """What may stand behind whole leading sentences of a source's text."""
    begun = {" ".join(" ".join(own[:count]).split()) for own in _texts(whole) for count in range(1, len(own) + 1)}
    return [text.removeprefix(start).strip() for start in begun if text.startswith(f"{start} ")]


def _off_topic_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    found = [(rest, grown.leading.get(rest, set())) for rest in _after_first(text, seed)]
    return any(owners and seed.prompt not in owners and 2 * words(rest) >= words(text) for rest, owners in found)


def _off_topic_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    found = [(one, grown.sentences.get(one, set())) for one in _endings(text, seed.good[0])]
    return any(owners and seed.prompt not in owners and 2 * words(one) <= words(text) for one, owners in found)


def _scrambled_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    """The same words, sentence by sentence, in another order."""
    return any(len(own) > 1 and _mixed(text.split(), own) for own in _texts(seed.good[-1]))


def _mixed(found: list[str], own: list[str]) -> bool:
    at = 0
    for one in own:
        here, at = found[at : at + words(one)], at + words(one)
        if Counter(here) != Counter(one.split()) or (words(one) > 3 and here == one.split()):
            return False
    return at == len(found)


def _scrambled_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    """Some pairs of neighbours have changed places, a fifth of the words; the others stand where they did."""
    found = text.split()
    own = next((start for start in leading(seed.good[0]) if Counter(start) == Counter(found)), [])
    moved = [at for at, (one, other) in enumerate(zip(found, own, strict=True)) if one != other] if own else []
    return 2 <= len(moved) <= 2 * max(2, len(found) // 10)


def _missing(text: str, whole: str) -> list[int]:
    """How many words may be missing at the end, of whole leading sentences."""
    *before, last = text.split()
    starts_so = [one for one in leading(whole) if one[: len(before)] == before and len(one) > len(before)]
    return [len(one) - len(before) - 1 for one in starts_so if one[len(before)].startswith(last)]


def _cut_short_plain(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    own = next(one.split() for one in sentences(seed.good[-1]) if words(one) >= 9)
    found = text.split()
    start = own[: len(found) - 1] == found[:-1] and own[len(found) - 1].startswith(found[-1])
    return start and len(own) - len(found) >= 3 and text[-1] not in ".!?,;:"


def _cut_short_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    whole = len(leading(seed.good[-1])[0])
    return (
        text[-1] not in ".!?,;:"
        and words(text) > whole
        and any(missing >= 4 for missing in _missing(text, seed.good[-1]))
    )


def _cut_short_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return text[-1] not in ".!?,;:" and bool({2, 3} & set(_missing(text, seed.good[0])))


def _repeated_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    for rest in _endings(text, seed.good[-1]):
        for one in {one for own in _texts(seed.good[-1]) for one in own}:
            times = len(rest) // (len(one) + 1) + 1
            if times >= 3 and rest == " ".join([" ".join(one.split())] * times):
                return True
    return False


def _repeated_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    parts = sentences(text)
    twice = [at for at, one in enumerate(parts) if parts.count(one) == 2]
    return any(starts(" ".join([*parts[:at], *parts[at + 1 :]]), seed.good[0]) for at in twice)


def _contentless_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return any(consists_of(rest, everywhere(EMPTY)) for rest in _after_first(text, seed))


def _contentless_plain(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return consists_of(text, everywhere(EMPTY))


def _contentless_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return any(one in everywhere(EMPTY) for one in _endings(text, seed.good[0]))


def _firm(text: str) -> bool:
    return not any(phrase in text for phrase in NO_REFUSAL_ALONE)


def _refusal_plain(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return consists_of(text, everywhere(REFUSALS)) and _firm(text)


def _refusal_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return any(consists_of(rest, everywhere(REFUSALS)) for rest in _after_first(text, seed)) and _firm(text)


def _refusal_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return any(one in everywhere(REFUSALS) for one in _endings(text, seed.good[0])) and _firm(text)


def _spoken(row: Row, rests: list[str], holds: Callable[[str, tuple[str, ...]], bool]) -> bool:
    pools = {name: everywhere(phrases) for name, phrases in LANGUAGES.items() if name in row["meta"]["target"]}
    return any(holds(rest, phrases) for phrases in pools.values() for rest in rests)


def _wrong_language_plain(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return _spoken(row, [text], consists_of)


def _wrong_language_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return _spoken(row, _after_first(text, seed), consists_of)


def _wrong_language_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return _spoken(row, _endings(text, seed.good[0]), lambda rest, phrases: rest in phrases)


def _earlier(row: Row, grown: Grown) -> Seed:
    return grown.seeds[row["conversation"][0]["content"]]


def _ignores_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    firsts = {" ".join(own[0].split()) for own in _texts(seed.good[-1])}
    before = [text.removesuffix(first).strip() for first in firsts if text.endswith(f" {first}")]
    return any(starts(one, _earlier(row, grown).good[-1]) for one in before)


def _ignores_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    own = {" ".join(one.split()) for one in sentences(_earlier(row, grown).good[0])}
    return any(one in own for one in _endings(text, seed.good[0]))


def _off_by(text: str, seed: Seed) -> int | None:
    """How far the stated number is off, where all else is the seed's working; None where it is not."""
    said = str(last_number(text))
    return abs(int(said) - int(seed.answer or 0)) if text == with_answer(seed.good[0], said) else None


def _wrong_number_plain(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return (_off_by(text, seed) or 0) > near(int(seed.answer or 0))


def _wrong_number_clear(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return 2 <= (_off_by(text, seed) or 0) <= near(int(seed.answer or 0))


def _wrong_number_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    return _off_by(text, seed) == 1


def _breaks_subtle(text: str, row: Row, seed: Seed, grown: Grown) -> bool:
    instruction, parts = instruction_of(row), sentences(seed.good[0])
    nearly = (instruction.nearly(" ".join(parts[:count])) for count in range(1, len(parts) + 1))
    return text in nearly and not instruction.holds(text) and instruction.slip in row["meta"]["target"]


GRADED_CLAIMS: dict[tuple[str, str], Callable[[str, Row, Seed, Any], bool]] = {
    ("off_topic", "plain"): CLAIMS["off_topic"],
    ("off_topic", "clear"): _off_topic_clear,
    ("off_topic", "subtle"): _off_topic_subtle,
    ("scrambled", "plain"): CLAIMS["scrambled"],
    ("scrambled", "clear"): _scrambled_clear,
    ("scrambled", "subtle"): _scrambled_subtle,
    ("cut_short", "plain"): _cut_short_plain,
    ("cut_short", "clear"): _cut_short_clear,
    ("cut_short", "subtle"): _cut_short_subtle,
    ("repeated", "plain"): CLAIMS["repeated"],
    ("repeated", "clear"): _repeated_clear,
    ("repeated", "subtle"): _repeated_subtle,
    ("contentless", "plain"): _contentless_plain,
    ("contentless", "clear"): _contentless_clear,
    ("contentless", "subtle"): _contentless_subtle,
    ("refusal", "plain"): _refusal_plain,
    ("refusal", "clear"): _refusal_clear,
    ("refusal", "subtle"): _refusal_subtle,
    ("wrong_language", "plain"): _wrong_language_plain,
    ("wrong_language", "clear"): _wrong_language_clear,
    ("wrong_language", "subtle"): _wrong_language_subtle,
    ("ignores_last_turn", "plain"): CLAIMS["ignores_last_turn"],
    ("ignores_last_turn", "clear"): _ignores_clear,
    ("ignores_last_turn", "subtle"): _ignores_subtle,
    ("wrong_number", "plain"): _wrong_number_plain,
    ("wrong_number", "clear"): _wrong_number_clear,
    ("wrong_number", "subtle"): _wrong_number_subtle,
    ("breaks_instruction", "plain"): CLAIMS["breaks_instruction"],
    ("breaks_instruction", "subtle"): _breaks_subtle,
}


@pytest.mark.parametrize(("defect", "strength"), COMBINATIONS)
def test_a_defect_is_of_the_strength_that_it_claims(grown: Grown, defect: str, strength: str) -> None:
    found = [
        (text, row)
        for row in grown.rows
        for (text, name), given in zip(made_of(row), row["meta"]["strengths"], strict=True)
        if (name, given) == (defect, strength)
    ]
    assert len(found) >= 20
    claim = GRADED_CLAIMS[defect, strength]
    wrong = [text for text, row in found if not claim(text, row, seed_of(row, grown.seeds), grown)]
    assert not wrong, f"{len(wrong)} of {len(found)}: {wrong[:3]}"


def test_one_response_is_good_and_its_neighbours_have_strengths(grown: Grown) -> None:
    for row in grown.rows:
        defects, given, labels = row["meta"]["defects"], row["meta"]["strengths"], row["labels"]
        assert [name is None for name in defects] == [strength is None for strength in given]
        good = GOOD_SCORES[row["meta"]["kind"]]
        assert labels == [GRADED[n][s].score if n else good for n, s in zip(defects, given, strict=True)]
        if len(labels) > 1:
            assert [at for at, name in enumerate(defects) if name is None] == [row["best"]]
            assert labels.count(max(labels)) == 1
            assert (row["subset"], row["meta"]["strength"]) in zip(defects, given, strict=True)


# --------------------------------------------------------------------------- what a defect costs


def test_less_of_a_defect_costs_less_and_the_good_one_has_most() -> None:
    assert GRADED.keys() == DEFECTS.keys()
    for graded in GRADED.values():
        scores = [graded[strength].score for strength in STRENGTHS if strength in graded]
        assert scores == sorted(set(scores))
        assert scores[0] >= 1
        for found in graded.values():
            assert found.score < min(GOOD_SCORES[kind] for kind in found.kinds)


def test_every_judgement_says_what_stands_in_its_response(grown: Grown) -> None:
    for row in grown.rows:
        critique = parse(Completion(row["meta"]["target"]), range(len(row["responses"])))
        assert critique.outcome is Outcome.OK
        assert list(critique.scores or ()) == row["labels"]
        parts = re.split(r"(?<=/10\.) (?=Response \d)", critique.analysis or "")
        assert len(parts) == len(row["responses"])
        shown = (rf"(Response {place} works out .*\. )?Response {place}: " for place in range(1, len(parts) + 1))
        assert all(re.match(pattern, part) for pattern, part in zip(shown, parts, strict=True))
        for part, text in zip(parts, row["responses"], strict=True):
            plain = " ".join(text.replace('"', "'").split())
            assert all(quote in plain for quote in re.findall(r'"([^"]+)"', part)), (part, text)


# --------------------------------------------------------------------------- no shortcut


@pytest.mark.parametrize("part", PARTS)
def test_neither_length_nor_place_finds_the_best(grown: Grown, part: str) -> None:
    for n in (2, 4):
        rows = [row for row in grown.parts[part] if len(row["responses"]) == n]
        for figure in (length, lambda text: tuple(-part for part in length(text))):
            credit = [_credit(row, figure) for row in rows]
            assert abs(sum(credit) / len(credit) - 1 / n) < 0.12
        places = Counter(row["best"] for row in rows)
        assert all(abs(places[place] / len(rows) - 1 / n) < 0.08 for place in range(n)), places


def _credit(row: Row, figure: Callable[[str], Any]) -> float:
    figures = [figure(text) for text in row["responses"]]
    top = [at for at, one in enumerate(figures) if one == max(figures)]
    return (row["best"] in top) / len(top)


def test_pairs_of_each_defect_and_strength_are_balanced(grown: Grown) -> None:
    """Among pairs whose responses differ in length, the rejected one is longer as often as shorter."""
    for named in COMBINATIONS:
        rows = [
            row for row in grown.parts["train"]
            if len(row["responses"]) == 2 and (row["subset"], row["meta"]["strength"]) == named
        ]  # fmt: skip
        assert len(rows) == 6
        assert abs(sum(_credit(row, length) for row in rows) - 3) <= 1


def test_defects_strengths_and_numbers_go_round_robin(grown: Grown) -> None:
    for part, rows in grown.parts.items():
        counts = Counter((row["subset"], row["meta"]["strength"], len(row["responses"])) for row in rows)
        turns = SIZES[part] // len(COMBINATIONS)
        expected = Counter(COUNTS[turn % len(COUNTS)] for turn in range(turns))
        assert counts == Counter({(*named, n): times for named in COMBINATIONS for n, times in expected.items()})


def test_no_item_is_there_twice(grown: Grown) -> None:
    contents = [json.dumps([row["conversation"], sorted(row["responses"])]) for row in grown.rows]
    assert len(set(contents)) == len(contents)
    assert len({row["id"] for row in grown.rows}) == len(contents)


# --------------------------------------------------------------------------- the parts


def _prompts(rows: list[Row]) -> set[str]:
    turns = {turn["content"] for row in rows for turn in row["conversation"] if turn["role"] == "user"}
    for instruction in INSTRUCTIONS:
        turns = {text.removesuffix(f" {instruction.ask}") for text in turns}
    return turns


def test_the_parts_share_no_prompt(grown: Grown) -> None:
    for part, rows in grown.parts.items():
        assert {part_of(prompt) for prompt in _prompts(rows)} == {part}


def test_the_parts_share_no_phrase(grown: Grown) -> None:
    for phrases in (EMPTY, REFUSALS, *LANGUAGES.values()):
        pools = {part: set(pool(phrases, part)) for part in PARTS}
        assert not pools["train"] & pools["test"]
        assert not pools["meta"] & set(phrases)
        for part, rows in grown.parts.items():
            texts = [text for row in rows for text, defect in made_of(row) if defect]
            others = set(everywhere(phrases)) - pools[part]
            assert not [text for text in texts if any(phrase in text for phrase in others)]


@settings(deadline=None)
@given(st.text())
def test_meta_and_test_are_what_is_no_training_prompt(prompt: str) -> None:
    assert (part_of(prompt) == "train") == (split_of(prompt) == "train")
    assert part_of(f" {prompt}\n") == part_of(prompt.strip())


# --------------------------------------------------------------------------- parts of the code


@settings(deadline=None)
@given(st.sampled_from(INSTRUCTIONS), st.lists(st.text("abc ,'-\"éA", min_size=1), min_size=1, max_size=5))
def test_a_slip_breaks_the_rule(instruction: Instruction, parts: list[str]) -> None:
    """Whatever the text: what nearly keeps a rule does not keep it, unless the text could not be told apart."""
    text = " ".join(f"{part.strip() or 'a'}." for part in parts)
    nearly = instruction.nearly(text)
    assert nearly is None or nearly != instruction.obey(text)
    if nearly is not None and not instruction.holds(text):
        assert not instruction.holds(nearly)


@settings(deadline=None)
@given(st.text())
def test_a_quoted_place_ends_no_quote(text: str) -> None:
    assert '"' not in spot(text)
    assert words(spot(text)) <= 4


def test_growing_is_deterministic_and_takes_some_strengths(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    first = list(grow(folder, "train", 60))
    assert list(grow(folder, "train", 60)) == first
    assert list(grow(folder, "train", 60, seed=1)) != first
    subtle = list(grow(folder, "train", 60, strengths=["subtle"]))
    assert {given for row in subtle for given in row["meta"]["strengths"]} == {"subtle", None}


def test_a_prompt_that_does_not_fit_is_not_used(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    refused = sorted({seed.prompt for seed in read_seeds(folder, wide=True) if part_of(seed.prompt) == "train"})[::2]
    rows = list(grow(folder, "train", 60, fits=lambda prompt: prompt not in refused))
    assert not _prompts(rows) & set(refused)


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("dev", {}, "part: 'dev' is unknown; known are train, meta, test"),
        ("train", {"strengths": ["mild"]}, r"strengths: \['mild'\] is not usable"),
        ("train", {"strengths": []}, "strengths: .* is not usable"),
        ("train", {"fits": lambda prompt: prompt.startswith("Ann")}, "fewer than two of the kind open, question"),
    ],
)
def test_what_cannot_be_grown_is_named(tmp_path: Path, part: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        next(grow(write_sources(tmp_path), part, 10, **changes))


def test_prompts_that_run_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeling_grm.data.contrast.grown.PATIENCE", 2)
    few = {seed.prompt for seed in read_seeds(write_sources(tmp_path), wide=True) if part_of(seed.prompt) == "meta"}
    kept = dict.fromkeys(("Tell", "What", "Ann"), 0)

    def fits(prompt: str) -> bool:
        kept[prompt.split()[0]] += prompt in few
        return prompt in few and kept[prompt.split()[0]] <= 2

    with pytest.raises(InvalidInput, match="has too few for another item of"):
        list(grow(tmp_path, "meta", 2000, fits=fits))


def test_words_come_before_characters() -> None:
    assert max("a b c", "abcdefgh i", key=length) == "a b c"
