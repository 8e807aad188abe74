"""data/pools/even: two responses in which nothing is wrong are scored alike, whatever stands beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_sources import write_sources

from modeling_grm.data.contrast.grown import part_of
from modeling_grm.data.contrast.sources import words
from modeling_grm.data.pools.even import COUNTS, KINDS, MOST, TOGETHER, agree, alike, even_rows
from modeling_grm.parsing_grm import parse
from modeling_grm.types_grm import Completion, Critique, InvalidInput

PROSE = "Warm the oven to 200 degrees. Salt the meat well. Roast it for an hour, and let it rest before it is cut."


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
    return list(even_rows(folder, Every(), 120))


def goods_of(row: dict[str, Any]) -> list[int]:
    """The scores that the highest one shares."""
    critique = parse(Completion(row["target"]), range(len(row["responses"])))
    assert isinstance(critique, Critique)
    return [score for score in critique.scores if score == max(critique.scores)]


def test_two_are_called_good_and_scored_alike(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert len(goods_of(row)) == 2
        assert row["target"].count(f": good, {goods_of(row)[0]}/10") == 2


def test_rows_are_of_all_sizes_and_kinds_and_not_too_long(rows: list[dict[str, Any]]) -> None:
    assert {len(row["responses"]) for row in rows} == set(COUNTS)
    for row in rows:
        assert sum(map(words, row["responses"])) <= TOGETHER
        assert len(set(row["responses"])) == len(row["responses"])
    shown = [{tuple(sorted(row["responses"])) for row in rows[at :: len(KINDS)]} for at in range(len(KINDS))]
    assert all(len(found) == len(rows) / len(KINDS) for found in shown)
    assert not shown[0] & shown[1]


def test_only_prompts_of_the_training_part_that_were_given_are_used(folder: Path) -> None:
    prompts = {row["conversation"][0]["content"] for row in even_rows(folder, Every("garden", "what"), 60)}
    assert not [prompt for prompt in prompts if "garden" in prompt or "what" in prompt]
    assert {part_of(prompt) for prompt in prompts} == {"train"}


def test_the_same_seed_gives_the_same_rows(folder: Path) -> None:
    first, again, other = (list(even_rows(folder, Every(), 30, seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_too_few_pairs_are_said(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    with pytest.raises(InvalidInput, match="even: no prompt of these rows has two good responses"):
        list(even_rows(folder, set(), 1))
    one = {next(pair.prompt for pair in KINDS[0].read(folder) if part_of(pair.prompt) == "train")}
    with pytest.raises(InvalidInput, match="even: these prompts have no more pairs"):
        list(even_rows(folder, one, 1))


@pytest.mark.parametrize(
    ("texts", "labels", "holds"),
    [
        ((PROSE, f"{PROSE} Enjoy it."), (8.5, 8.5), True),
        ((PROSE, f"{PROSE} Enjoy it."), (8.5, 7.0), True),
        ((PROSE, f"{PROSE} Enjoy it."), (9.0, 7.0), False),
        ((PROSE, f"{PROSE} Enjoy it."), (7.0, 6.5), False),
        ((PROSE, PROSE), (8.5, 8.5), False),
        ((PROSE, f"{PROSE} And then"), (8.5, 8.0), False),
        ((f"I'm sorry, but {PROSE}", PROSE), (8.5, 8.0), False),
        ((PROSE, " ".join([PROSE] * (MOST // words(PROSE) + 1))), (8.5, 8.0), False),
    ],
)
def test_what_is_alike(texts: tuple[str, str], labels: tuple[float, float], holds: bool) -> None:
    def row(ask: str) -> dict[str, Any]:
        return {"conversation": [{"role": "user", "content": ask}], "responses": list(texts), "labels": list(labels)}

    assert alike(row("How?")) == holds
    assert not alike(row("Say it in French."))


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        ("Rome was founded in 753.", "It is said that Rome was founded long ago.", True),
        ("Rome was founded in 753.", "There was no consistent title for its kings.", False),
        ("Rome was founded in 753.", "Rome was founded in 753.", False),
        ("", "No.", False),
    ],
)
def test_what_agrees(one: str, other: str, holds: bool) -> None:
    assert agree(one, other) == agree(other, one) == holds
