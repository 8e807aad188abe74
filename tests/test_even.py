"""data/pools/even: responses of a source's own are both good and scored alike, but for those that are made worse."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from made_sources import write_sources

from modeling_grm.data.contrast.grown import part_of
from modeling_grm.data.contrast.sources import words
from modeling_grm.data.pools.even import FROM, MOST, SHAPES, TOGETHER, alike, even_rows, pairs_of
from modeling_grm.data.sources import read_records
from modeling_grm.parsing_grm import parse
from modeling_grm.types_grm import Completion, Critique, InvalidInput

PROSE = "Warm the oven to 200 degrees. Salt the meat well. Roast it for an hour, and let it rest before it is cut."
GOOD = 9


class Every:
    """All prompts but those with a word."""

    def __init__(self, *without: str) -> None:
        self.without = without

    def __contains__(self, prompt: object) -> bool:
        return not any(word in str(prompt) for word in self.without)


@pytest.fixture(scope="module", params=["made", "real"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files made here, and the real ones."""
    if request.param == "made":
        return write_sources(tmp_path_factory.mktemp("train"))
    real: Path = request.getfixturevalue("grm_data") / "train"
    return real


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return list(even_rows(folder, Every(), 140))


@pytest.fixture(scope="module")
def sources(folder: Path) -> dict[str, list[str]]:
    """Prompt -> its responses, without their spaces."""
    asked = ((row["conversation"][0]["content"].strip(), row["responses"]) for row in read_records(folder / FROM.file))
    return {prompt: ["".join(text.split()) for text in texts] for prompt, texts in asked}


def scored(row: dict[str, Any]) -> list[tuple[str, int]]:
    """Each response with the score that it is given."""
    critique = parse(Completion(row["target"]), range(len(row["responses"])))
    assert isinstance(critique, Critique)
    return list(zip(row["responses"], critique.scores, strict=True))


def of_source(text: str, responses: list[str]) -> list[int]:
    """Which of a source's responses it is, or some sentences of."""
    return [at for at, response in enumerate(responses) if "".join(text.split()) in response]


def test_as_many_are_good_as_the_shape_says_and_scored_alike(rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        good, worse = SHAPES[number % len(SHAPES)]
        scores = [score for _, score in scored(row)]
        assert len(scores) == good + worse
        assert scores.count(GOOD) == good
        assert max((score for score in scores if score != GOOD), default=0) < GOOD
        assert row["target"].count(f": good, {GOOD}/10") == good


def test_good_ones_are_the_sources_own_two(rows: list[dict[str, Any]], sources: dict[str, list[str]]) -> None:
    for row in rows:
        own = sources[row["conversation"][0]["content"]]
        places = [of_source(text, own) for text, score in scored(row) if score == GOOD]
        assert all(places)
        assert len(places) == 1 or {0, 1} == set().union(*map(set, places))


def test_both_places_and_both_ways_come(rows: list[dict[str, Any]], sources: dict[str, list[str]]) -> None:
    pairs = [[score for _, score in scored(row)] for row in rows if len(row["responses"]) == 2]
    first = Counter((one > two) - (one < two) for one, two in pairs)
    assert min(first[1], first[-1]) > 10
    good = [(row, text) for row in rows for text, score in scored(row) if score == GOOD]
    whole = ["".join(text.split()) in sources[row["conversation"][0]["content"]] for row, text in good]
    assert 0.1 < sum(whole) / len(whole) < 0.9
    assert len({tuple(row["responses"]) for row in rows}) == len(rows)


def test_none_is_too_long(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert words(row["conversation"][0]["content"]) + sum(map(words, row["responses"])) <= TOGETHER
        assert all(words(text) <= MOST for text, score in scored(row) if score == GOOD)


def test_only_prompts_of_the_training_part_that_were_given_are_used(folder: Path) -> None:
    assert any("garden" in pair.prompt or "what" in pair.prompt for pair in pairs_of(folder, Every()))
    prompts = {row["conversation"][0]["content"] for row in even_rows(folder, Every("garden", "what"), 60)}
    assert not [prompt for prompt in prompts if "garden" in prompt or "what" in prompt]
    assert {part_of(prompt) for prompt in prompts} == {"train"}


def test_the_same_seed_gives_the_same_rows(folder: Path) -> None:
    first, again, other = (list(even_rows(folder, Every(), 30, seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_too_few_pairs_are_said(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    for prompts in (set[str](), {pairs_of(folder, Every())[0].prompt}):
        with pytest.raises(InvalidInput, match="even: 1 rows need two prompts with two good responses each"):
            list(even_rows(folder, prompts, 1))
    few = {pair.prompt for pair in pairs_of(folder, Every())[:2]}
    with pytest.raises(InvalidInput, match=r"even: 100000 rows are not to be had; 2 pairs give \d+: ask for fewer"):
        list(even_rows(folder, few, 100_000))


def test_a_licence_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    path = write_sources(tmp_path) / FROM.file
    rows = [row | {"license": "cc-by-nc-4.0"} for row in read_records(path)]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    with pytest.raises(InvalidInput, match=r"cc-by-nc-4\.0"):
        list(even_rows(tmp_path, Every(), 1))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"data: .* lacks {FROM.file}; name the folder"):
        list(even_rows(tmp_path, Every(), 1))


@pytest.mark.parametrize(
    ("labels", "holds"),
    [
        ([8.5, 8.5], True),
        ([7.0, 7.5], True),
        ([8.5, 7.5], False),
        ([7.0, 6.5], False),
        ([8.5], False),
        (None, False),
    ],
)
def test_what_is_alike(labels: list[float] | None, holds: bool) -> None:
    def row(ask: str, *responses: str) -> dict[str, Any]:
        return {"conversation": [{"role": "user", "content": ask}], "responses": list(responses), "labels": labels}

    assert alike(row("How?", PROSE, f"{PROSE} Enjoy it.")) == holds
    assert not alike(row("How?", PROSE, "", "42"))
    assert not alike(row("Say it in French.", PROSE, f"{PROSE} Enjoy it."))
    assert not alike({"labels": labels})
