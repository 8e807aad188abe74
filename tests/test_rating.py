"""`grm rate`: a store gets its ratings, once each, whatever stopped the run; guided votes come from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hub import LocalHub
from huggingface_hub import hf_hub_download
from shell import Grm
from stores import requests, run
from test_meta_rm import classifier, saved
from tiny_judge import save_tiny

from modeling_grm import rating
from modeling_grm.meta_quality import auc, fit_temperature, quality, strictly_correct
from modeling_grm.rating import chosen_rater, critique_of, rate_store, rater_name, raters, ratings, todo
from modeling_grm.trajectories import read, write_meta
from modeling_grm.types_grm import Critique, InvalidInput, Request
from modeling_grm.voting_grm import item_hash


class Counting:
    """Trusts later seeds more; has nothing to say on every 7th; may be stopped after some."""

    name_or_path = "org/meta"

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[int] = []
        self.stop_after = stop_after

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += [critique.seed for _, critique in pairs]
        return [None if critique.seed % 7 == 0 else critique.seed / 2**31 for _, critique in pairs]


class Named:
    """A meta RM, or with `judge` a judge's own reading, as far as its name goes."""

    def __init__(self, name_or_path: str, **judge: str) -> None:
        self.name_or_path = name_or_path
        self.__dict__.update(judge)


class Reading:
    """A judge that rates without reading what it wrote, and keeps what it was asked."""

    name_or_path = judge = "org/judge"

    def __init__(self, seen: list[tuple[Request, Critique]]) -> None:
        self.seen = seen

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        self.seen += pairs
        return [0.0] * len(pairs)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    run(tmp_path / "store", requests(30))
    return tmp_path / "store"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in read(folder) for row in batch.to_pylist()]


def test_every_readable_judgement_is_rated_once(store: Path) -> None:
    meta = Counting()
    counts = rate_store(store, meta, "org/meta@1")
    found = rows(store)
    ok = [row for row in found if row["outcome"] == "ok"]
    assert 0 < len(ok) < len(found)
    assert sorted(meta.asked) == sorted(row["seed"] for row in ok)
    assert counts == {
        "rated": sum(r["seed"] % 7 > 0 for r in ok),
        "unrated": sum(r["seed"] % 7 == 0 for r in ok),
        "there": 0,
    }
    for row in ok:
        assert row["meta_model"] == "org/meta@1"
        assert row["meta_score"] == (None if row["seed"] % 7 == 0 else row["seed"] / 2**31)
    assert rate_store(store, meta, "org/meta@1") == {"rated": 0, "unrated": 0, "there": len(ok)}
    assert len(meta.asked) == len(ok)


def test_a_stopped_run_goes_on_where_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "AT_ONCE", 8)
    first, second = Counting(stop_after=24), Counting()
    with pytest.raises(KeyboardInterrupt):
        rate_store(store, first, "m")
    assert len(todo(store, "m")[0]) + len(first.asked) == sum(row["outcome"] == "ok" for row in rows(store))
    rate_store(store, second, "m")
    assert not set(first.asked) & set(second.asked)
    assert todo(store, "m")[0] == []


def test_several_raters_stand_beside_one_another(store: Path) -> None:
    rate_store(store, Counting(), "org/one@1")
    rate_store(store, Counting(), "two@sha256:2", limit=5)
    assert raters(store) == ["org/one@1", "two@sha256:2"]
    assert chosen_rater(store, None) is None
    assert chosen_rater(store, "org/one") == "org/one@1"
    assert chosen_rater(store, "runs/two") == "two@sha256:2"
    with pytest.raises(InvalidInput, match="fits 0 of the ratings"):
        chosen_rater(store, "three")


def test_ratings_are_named_by_what_rated(store: Path, hub: LocalHub, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "judge", {"template": "compact"})
    rate_store(store, Counting(), rater_name(Named(str(folder), judge=str(folder))))
    rate_store(store, Counting(), rater_name(Named(str(folder))))
    assert [name.split("@sha256:")[0] for name in raters(store)] == ["judge", "self"]
    assert chosen_rater(store, "self") == raters(store)[1]
    hub.api().create_repo("me/judge")
    commit = hub.api().upload_folder(repo_id="me/judge", folder_path=folder).oid
    assert rater_name(Named("me/judge")) == "me/judge", "not loaded yet"
    hf_hub_download("me/judge", "config.json")
    assert rater_name(Named("me/judge")) == f"me/judge@{commit}"
    assert rater_name(Named("self", judge="me/judge")) == f"self@me/judge@{commit}"
    assert rater_name(Named("a name/that is/no id")) == "a name/that is/no id"


def test_a_judges_ratings_are_found_by_its_folder(store: Path, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "judge", {"template": "compact"})
    name = rater_name(Named("self", judge=str(folder)))
    rate_store(store, Counting(), name)
    rate_store(store, Counting(), "self@sha256:other", limit=1)
    assert chosen_rater(store, str(folder)) == name
    with pytest.raises(InvalidInput, match="fits 2 of the ratings"):
        chosen_rater(store, "self")


def test_the_judgement_reaches_the_meta_rm_in_its_own_order(store: Path) -> None:
    seen: list[tuple[Request, Critique]] = []

    def note(pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        seen.extend(pairs)
        return [0.0] * len(pairs)

    list(ratings(store, todo(store, "m")[0], note))
    by_seed = {row["seed"]: row for row in rows(store)}
    for request, critique in seen:
        row = by_seed[critique.seed]
        assert list(request.responses) == row["responses"]
        assert (list(critique.order), critique.text) == (row["order"], row["text"])
        assert critique == critique_of(row)


def test_a_store_without_texts_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "bare", requests(3), text=False)
    with pytest.raises(InvalidInput, match="keeps no texts"):
        rate_store(tmp_path / "bare", Counting(), "m")
    with pytest.raises(InvalidInput, match="keeps no texts"):  # it reads them, whatever requests are given
        rate_store(tmp_path / "bare", Counting(), "m", requests={item_hash(one): one for one in requests(3)})
    with pytest.raises(InvalidInput, match="no trajectory store"):
        rate_store(tmp_path / "nothing", Counting(), "m")


def test_a_judge_that_reads_no_texts_gets_the_responses_in_the_stores_order(tmp_path: Path) -> None:
    run(tmp_path / "full", requests(5))
    run(tmp_path / "bare", requests(5), text=False)
    swapped = {item_hash(one): replace(one, responses=one.responses[::-1]) for one in requests(5)}
    found: dict[str, list[Any]] = {"full": [], "bare": []}
    for name, seen in found.items():
        rate_store(tmp_path / name, Reading(seen), "m", requests=swapped)
    keyed = [{one.seed: (asked.responses, one.scores) for asked, one in seen} for seen in found.values()]
    assert keyed[0] == keyed[1]
    assert {asked for asked, _ in keyed[0].values()} == {one.responses for one in requests(5)}


def test_from_the_shell(store: Path, tmp_path: Path, grm: Grm) -> None:
    """A real (random) classifier rates, then guided votes and their controls come from the store."""
    meta = saved(tmp_path / "meta-rm")
    code, out, err = grm("rate", store, "--meta-model", meta, "--dtype", "float32", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["meta_model"].startswith("meta-rm@sha256:")
    assert said["rated"] + said["unrated"] == sum(row["outcome"] == "ok" for row in rows(store))
    code, _, err = grm("rate", store, "--meta-model", meta, "--dtype", "float32")
    assert code == 0
    assert "0 judgements rated, 0 not" in err
    write_meta(store, "another", {rows(store)[0]["key"]: 1.0})
    asked = ("revote", store, "--rule", "sum,meta_topk,meta_soft,random_topk", "--k", "4", "--k-meta", "1,2", "--json")
    code, _, err = grm(*asked)
    assert code == 2
    assert "choose one" in err
    code, out, err = grm(*asked, "--meta-model", meta)
    assert code == 0, err
    points = json.loads(out)["points"]
    assert len({point["curve"] for point in points}) == 6


def test_bad_input_ends_before_anything_is_loaded(store: Path, tmp_path: Path, grm: Grm) -> None:
    code, _, err = grm("rate", store, "--meta-model", tmp_path / "none")
    assert code == 2
    assert "cannot be loaded" in err


def test_a_guided_vote_from_the_shell(tmp_path: Path, grm: Grm) -> None:
    judge, meta = save_tiny(tmp_path / "judge"), saved(tmp_path / "meta", classifier(max_position_embeddings=4096))
    asked = ("score", "--query", "q", "--response", "a", "--response", "b", "--model", judge, "--k", "4", "--json")
    code, out, err = grm(*asked, "--max-new-tokens", "24", "--meta-model", meta, "--k-meta", "2")
    assert code == 0, err
    said = json.loads(out)["meta"]
    assert (said["model"], said["k_meta"]) == (str(meta), 2)
    code, _, err = grm(*asked, "--meta-model", judge)
    assert code == 2
    assert "no sequence classifier" in err
    code, _, err = grm(*asked, "--k-meta", "9")
    assert code == 2
    assert "k_meta: 9" in err


# ---------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("scores", "labels", "best", "correct"),
    [
        ((9, 3), None, 0, True),
        ((3, 9), None, 0, False),
        ((9, 9), None, 0, False),  # a tie with the best is wrong
        ((5, 9, 5), [0, 2, 0], None, True),
        ((5, 9), [1, 1], None, None),
        ((5, 9), None, None, None),
        ((7,), [7.0], None, True),
        ((7,), [8.0], None, False),
        ((7,), None, 0, None),
    ],
)
def test_correctness_is_strict(scores: Any, labels: Any, best: Any, correct: Any) -> None:
    assert strictly_correct(scores, labels, best) is correct


def test_auc_counts_pairs() -> None:
    import numpy as np

    noise = Random(0)
    logits = np.array([noise.randint(0, 9) for _ in range(60)], float)
    correct = np.array([noise.random() < 0.6 for _ in range(60)], float)
    pairs = [(a > b) + (a == b) / 2 for a in logits[correct > 0] for b in logits[correct == 0]]
    assert auc(logits, correct) == pytest.approx(sum(pairs) / len(pairs))
    assert np.isnan(auc(logits, np.ones(60)))


def test_quality_and_temperature() -> None:
    noise = Random(1)
    truth = [noise.gauss(0, 2) for _ in range(3000)]
    correct = [noise.random() < 1 / (1 + 2.718281828**-logit) for logit in truth]
    items = [str(at // 10) for at in range(3000)]
    bold = [3 * logit for logit in truth]
    assert fit_temperature(bold, correct) == pytest.approx(3, rel=0.1)
    assert fit_temperature(truth, [True] * 3000) == 1.0
    found, loud = quality(truth, correct, items, resamples=50), quality(bold, correct, items, resamples=50)
    assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
    assert found["auc"] == loud["auc"]
    assert found["ece"]["value"] < 0.04 < loud["ece"]["value"]
    assert (found["items"], found["samples"]) == (300, 3000)
