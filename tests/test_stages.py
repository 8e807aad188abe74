"""recipes/eval: the fixed rows, and checkpoints side by side on them."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import pytest
from conftest import ROOT
from recipe_scripts import module_of
from stores import run
from tiny_judge import save_tiny

from modeling_grm.baselines import make
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.data.contrast.grown import part_of
from modeling_grm.data.drawing import write_rows
from modeling_grm.data.pools.entries import asked
from modeling_grm.data.sources import read_records
from modeling_grm.loading import load_rater
from modeling_grm.publishing.measured import found_in
from modeling_grm.rating import rate_store
from modeling_grm.trajectories import read, write_meta
from modeling_grm.trajectories.sharing import without_texts
from modeling_grm.types_grm import Completion, InvalidInput, Prompt, Request

EVAL = ROOT / "recipes" / "eval"
POOLS = ("contrast", "verifiable", "human")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EVAL)
    return module_of(EVAL / "stages.py", monkeypatch)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module_of(EVAL / "rows.py", monkeypatch)


class Judge:
    """Finds the last response best in that share of its samples, and a single one bad as often."""

    def __init__(self, right: float) -> None:
        self.right = right

    def __call__(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        """The `Generate` seam."""
        for index, prompt in enumerate(prompts):
            n = len(prompt.order)
            right = Random(f"{prompt.seed} {prompt.messages}").random() < self.right
            best = n - 1 if right == (n > 1) else 0
            scores = [9 if at == best and (n > 1 or not right) else 3 for at in prompt.order]
            text = f"Analysis: so.\nScores: \\boxed{{{', '.join(map(str, scores))}}}"
            yield index, Completion(text, completion_tokens=len(text))


def measured_rows(count: int = 40) -> list[dict[str, Any]]:
    """Of one, two and three responses; the last is the best, a single one is bad."""
    return [
        {
            "id": f"row-{at}",
            "pool": POOLS[at % 3],
            "source": "made",
            "subset": "off_topic" if at % 3 == 0 else "made",
            "strength": "subtle" if at % 3 == 0 else None,
            "conversation": [{"role": "user", "content": f"Question {at}?"}],
            "responses": ["one two", "three four five six", "seven"][: 1 + at % 4 % 3],
            "labels": list(range(1 + at % 4 % 3)),
        }
        for at in range(count)
    ]


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Path]:
    """Two checkpoints' samples; the second is right more often."""
    asked = [Request(row["conversation"], row["responses"]) for row in measured_rows()]
    for name, right in (("before", 0.5), ("after", 0.8)):
        run(tmp_path / name, asked, Judge(right))  # type: ignore[arg-type]
    return {name: tmp_path / name for name in ("before", "after")}


def test_stages_are_told_apart_by_pool(stages: ModuleType, stores: dict[str, Path]) -> None:
    said = stages.figures(stages.Measured(measured_rows(), stores), {"shortest": make("shortest")})
    assert said["rows"] == 40
    for name, near in (("before", 0.5), ("after", 0.8)):
        parts = said["stages"][name]["parts"]
        assert said["stages"][name]["readable"] == said["stages"][name]["unaided"] == 1
        assert parts["all"]["voting@1"]["value"] == pytest.approx(near, abs=0.12)
        assert sum(parts[pool]["voting@1"]["items"] for pool in POOLS) == 40
        assert parts["contrast: subtle"] == parts["contrast"] == parts["defect: off topic"]
        assert parts["human: made"] == parts["human"]
    gain = said["gains"]["after - before, Voting@1"]["all"]
    once = [said["stages"][name]["parts"]["all"]["voting@1"]["value"] for name in ("before", "after")]
    assert gain["difference"] == pytest.approx(once[1] - once[0])
    assert gain["low"] <= gain["difference"] <= gain["high"]
    assert said["gains"]["after: Voting@4 - Voting@1"]["all"]["difference"] > 0
    assert said["gains"]["after: Voting@4 - shortest"]["human"]["a"] == said["baselines"]["shortest"]["human"]["value"]
    assert not any("meta" in name or "greedy" in name for name in said["gains"])
    assert said["baselines"]["shortest"]["all"]["items"] == sum(len(row["responses"]) > 1 for row in measured_rows())
    lots = [1 / max(2, len(row["responses"])) for row in measured_rows()]
    assert said["baselines"]["chance"]["all"]["value"] == pytest.approx(sum(lots) / 40)


def test_sampling_is_compared_with_greedy(stages: ModuleType, stores: dict[str, Path]) -> None:
    found = stages.Measured(measured_rows(), {"after": stores["after"]}, stores["before"])
    said = stages.figures(found, {})
    assert list(said["stages"]) == ["after", "greedy"]
    assert said["gains"]["after: Voting@1 - greedy"]["all"]["difference"] > 0.1


def test_a_perfect_judge_is_right_about_single_responses_too(stages: ModuleType, tmp_path: Path) -> None:
    asked = [Request(row["conversation"], row["responses"]) for row in measured_rows()]
    for right in (0.0, 1.0):
        run(tmp_path / str(right), asked, Judge(right))  # type: ignore[arg-type]
        found = stages.Measured(measured_rows(), {"one": tmp_path / str(right)})
        assert set(found.credits("one", 4).values()) == {right}


def test_a_single_response_is_weighed_as_its_rule_weighs(stages: ModuleType, stores: dict[str, Path]) -> None:
    rate_by_answers(stores["before"])
    found = stages.Measured(measured_rows(), {"before": stores["before"]})
    alone = {key for key, row in found.rows.items() if len(row["labels"]) == 1}
    right = {
        rule: [found.credits("before", 4, rule)[key] for key in alone] for rule in ("sum", "majority", "meta_soft")
    }
    assert right["majority"] == right["sum"], "a single response's ballot is its score"
    assert np.mean(right["meta_soft"]) > np.mean(right["sum"])


class First:
    """Finds the response best that is shown first."""

    def __call__(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        """The `Generate` seam."""
        for index, prompt in enumerate(prompts):
            yield (
                index,
                Completion(f"Analysis: so.\nScores: \\boxed{{{', '.join(['9', '3', '3'][: len(prompt.order)])}}}"),
            )


def test_flips_are_told_by_pool(stages: ModuleType, tmp_path: Path) -> None:
    pools = ("contrast", "human", "verifiable")
    rows = [{**row, "pool": pools[len(row["responses"]) - 1]} for row in measured_rows()]
    for name, judge, rate in (("right", Judge(1.0), 0.0), ("first", First(), 1.0)):
        run(tmp_path / name, [Request(row["conversation"], row["responses"]) for row in rows], judge)  # type: ignore[arg-type]
        said = stages.figures(stages.Measured(rows, {name: tmp_path / name}), {"shortest": make("shortest")})
        stage = said["stages"][name]
        assert {pool: found["rate"] for pool, found in stage["flips"].items()} == {"human": rate}
        assert stage["flips"]["human"] == stage["position"]["flip_rate"]
        count = stage["position"]["flip_rate"]["pairs"]
        summary = stages.summary(stages.report(said))
        assert f"of the {count} pairs that both decide (human {rate:.2f} (" in summary
        assert f"), {count} pairs);" in summary


def test_a_single_label_is_a_share_or_a_score(stages: ModuleType) -> None:
    assert [stages.is_good(label) for label in (0, 1, 2, 6, 7, 9.0)] == [False, True, False, False, True, True]


def test_a_row_without_samples_is_named(stages: ModuleType, stores: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match="before: 5 of 45 rows are not in the store"):
        stages.Measured(measured_rows(45), stores)


def test_the_command_prints_tables(
    stages: ModuleType, stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in measured_rows())
    named = [f"{name}={store}" for name, store in stores.items()]
    monkeypatch.setattr(sys, "argv", ["stages.py", str(path), *named, "--out", str(tmp_path / "said.json")])
    stages.main()
    assert "| after - before, Voting@1 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "said.json").read_text())["rows"] == 40


def test_rows_of_another_file_are_left_out_and_ties_told(
    stages: ModuleType, stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unreadable and the ties of what is left out do not count either."""

    class Torn(Judge):
        """Says nothing of the rows below 10, and cannot tell best from second in those from 30."""

        def __call__(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            asked = list(prompts)
            for index, completion in super().__call__(asked):
                at = int(str(asked[index].messages).partition("Question ")[2].partition("?")[0])
                text = "Scores: \\boxed{5, 5, 5}".replace(", 5" * (3 - len(asked[index].order)), "", 1)
                yield index, replace(completion, text="" if at < 10 else text if at >= 30 else completion.text)

    every, out = measured_rows(), tmp_path / "said.json"
    run(tmp_path / "torn", [Request(row["conversation"], row["responses"]) for row in every], Torn(0.8))  # type: ignore[arg-type]
    for name, rows in (("all", every), ("first", every[:10]), ("below-30", every[:30])):
        write_rows(tmp_path / f"{name}.jsonl.gz", rows)
    said = {}
    for without in ("first", "below-30"):
        command = [str(tmp_path / "all.jsonl.gz"), f"torn={tmp_path / 'torn'}", "--without"]
        monkeypatch.setattr(
            sys, "argv", ["stages.py", *command, str(tmp_path / f"{without}.jsonl.gz"), "--out", str(out)]
        )
        stages.main()
        said[without] = json.loads(out.read_text())
    assert [one["rows"] for one in said.values()] == [30, 10]
    assert [one["stages"]["torn"]["readable"] for one in said.values()] == [1, 1]
    assert [one["stages"]["torn"]["unaided"] for one in said.values()] == [1, 1]
    lists = sum(len(row["responses"]) > 1 for row in every[10:])
    tied = sum(len(row["responses"]) > 1 for row in every[30:])
    assert said["first"]["stages"]["torn"]["ties"]["all"]["value"] == pytest.approx(tied / lists)
    assert said["below-30"]["stages"]["torn"]["ties"]["all"]["value"] == 1


def test_what_was_made_to_be_readable_is_told_apart(stages: ModuleType, tmp_path: Path) -> None:
    class Made(Judge):
        """Half of its judgements end with a scores line that they were made to write."""

        def __call__(self, group: Any) -> Iterator[tuple[int, Completion]]:
            for index, completion in super().__call__(group):
                yield index, replace(completion, constrained=index % 2 == 1)

    run(tmp_path / "made", [Request(row["conversation"], row["responses"]) for row in measured_rows()], Made(0.8))  # type: ignore[arg-type]
    stage = stages.figures(stages.Measured(measured_rows(), {"made": tmp_path / "made"}), {})["stages"]["made"]
    assert (stage["readable"], stage["unaided"]) == (1.0, 0.5)


def test_a_report_has_the_last_stage_alone(stages: ModuleType, stores: dict[str, Path]) -> None:
    said = stages.report(stages.figures(stages.Measured(measured_rows(), stores), {"shortest": make("shortest")}))
    assert (said["stage"], said["k"], said["samples"], said["temperature"]) == ("after", 4, 4, 0.5)
    assert set(said["judge"]["all"]) == {"voting@1", "voting@4"}
    assert set(said["baselines"]["shortest"]) == {"all", *POOLS}
    assert set(said["gains"]) == {"Voting@4 - Voting@1", "Voting@4 - shortest", "Voting@4 - chance"}
    assert found_in(said, "report").figures[0].name == "judge: all: voting@1"
    shown = stages.summary(said)
    assert shown.splitlines()[2].startswith("| **all** | 40 |")
    lists = sum(len(row["responses"]) > 1 for row in measured_rows())
    assert f"| all | {lists} | {said['gains']['Voting@4 - shortest']['all']['b']:.2f} |" in shown
    assert "100.0% of the judgements are readable as they are written, 100.0% in all." in shown


def rate_by_answers(store: Path) -> None:
    """A meta RM that knows which judgements are right."""
    ratings = {}
    for batch in read(store, ["key", "n", "scores", "best"]):
        for row in batch.to_pylist():
            right = row["scores"].index(max(row["scores"])) == row["best"] if row["n"] > 1 else row["scores"] == [3]
            ratings[row["key"]] = 1.0 if right else -1.0
    write_meta(store, "org/meta@1", ratings)


def test_a_guided_vote_stands_beside_the_plain_one(stages: ModuleType, stores: dict[str, Path]) -> None:
    rate_by_answers(stores["after"])
    said = stages.report(stages.figures(stages.Measured(measured_rows(), stores), {"shortest": make("shortest")}))
    judge = said["judge"]["all"]
    assert judge["meta_topk@4"]["items"] == judge["voting@1"]["items"] == 40, "single responses too"
    assert judge["voting@4"]["value"] < judge["meta_topk@4"]["value"] <= 1
    gains = {name: found["all"]["difference"] for name, found in said["gains"].items()}
    assert gains["meta_topk@4 - Voting@4"] == pytest.approx(judge["meta_topk@4"]["value"] - judge["voting@4"]["value"])
    for other in ("Voting@1", "random_topk@4", "length_topk@4", "shortest"):
        assert gains[f"meta_topk@4 - {other}"] > 0
    head, _, first, *_ = stages.summary(said).splitlines()
    assert head == "|  | rows | one judgement | vote of 4 | of the 2 trusted most |"
    assert first.count(" - ") == 2
    assert "before: meta_topk@4" not in str(said), "only the last stage's are compared"


def test_of_more_samples_the_votes_of_eight_are_shown_in_full(stages: ModuleType, tmp_path: Path) -> None:
    asked = [Request(row["conversation"], row["responses"]) for row in measured_rows()]
    run(tmp_path / "many", asked, Judge(0.7), GRMConfig(k=16))  # type: ignore[arg-type]
    rate_by_answers(tmp_path / "many")
    figures = stages.figures(stages.Measured(measured_rows(), {"many": tmp_path / "many"}), {"first": make("first")})
    said = stages.report(figures)
    assert (said["k"], said["samples"]) == (8, 16)
    assert set(said["judge"]["all"]) == {"voting@1", "voting@8", "meta_topk@8"}
    assert {name.partition(" ")[0] for name in said["gains"]} == {"Voting@8", "meta_topk@8"}
    assert {f"many: {rule}@16 - Voting@1" for rule in ("Voting", "meta_topk", "meta_soft")} <= set(figures["gains"])
    by_k = [said["scaling"]["all"][f"voting@{k}"]["value"] for k in (1, 2, 4, 8, 16)]
    assert by_k == sorted(by_k)
    head, _, first, *_ = stages.summary(said).split("\n\n")[2].splitlines()
    assert head.startswith("|  | k = 1 | k = 2 | k = 4 | k = 8 | k = 16 | guided, k = 2 |")
    assert first.startswith(f"| all | {by_k[0]:.2f} | {by_k[1]:.2f} |")


def test_the_best_of_equals_is_the_earlier_one(stages: ModuleType) -> None:
    ranks = np.array([[1.0, 3.0, 3.0, 3.0], [-np.inf, -np.inf, 0.0, -np.inf]])
    assert stages.among_best(ranks, 2).tolist() == [[False, True, True, False], [True, False, True, False]]


def test_a_store_without_texts_is_rated_from_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rate, closed = module_of(EVAL / "rate.py", monkeypatch), GRMConfig(template="compact-closed", k=4)
    judge, store, bare = save_tiny(tmp_path / "judge", closed.to_dict()), tmp_path / "store", tmp_path / "bare"
    asked = [Request(row["conversation"], row["responses"]) for row in measured_rows()]
    run(store, asked, Judge(0.8), closed)  # type: ignore[arg-type]
    without_texts(store, bare)
    path = tmp_path / "rows.jsonl.gz"
    write_rows(path, measured_rows())
    monkeypatch.setattr(sys, "argv", ["rate.py", str(path), str(bare), "--judge", str(judge), "--dtype", "float32"])
    rate.main()
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    name = said["meta_model"]
    assert said["rated"] > 0
    assert said["there"] == 0
    rate_store(store, load_rater(str(judge), dtype="float32"), name)
    both = []
    for folder in (bare, store):
        rows = [row for batch in read(folder, ["key", "meta_score"], meta_model=name) for row in batch.to_pylist()]
        both.append({row["key"]: row["meta_score"] for row in rows})
    assert both[0] == pytest.approx(both[1])
    rate.main()
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again == {**said, "rated": 0, "there": said["rated"]}
    write_rows(path, measured_rows(5))
    shutil.rmtree(bare / "meta")
    with pytest.raises(InvalidInput, match=r"rows: the item .* is not among them"):
        rate.main()


def test_a_store_of_two_temperatures_is_refused(stages: ModuleType, tmp_path: Path) -> None:
    settings = {"a": {"temperature": 0}, "b": {"temperature": 0.5}}
    (tmp_path / "store.json").write_text(json.dumps({"format": 1, "text": True, "settings": settings}))
    with pytest.raises(InvalidInput, match=r"temperature: .* has samples at \[0.0, 0.5\]"):
        stages.temperature(tmp_path)


def test_the_readme_says_what_was_measured(stages: ModuleType) -> None:
    said = json.loads((EVAL / "report.json").read_text(encoding="utf-8"))
    shown = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- judge -->")[1].split("<!-- /judge -->")[0]
    assert shown.strip() == stages.summary(said)


def _row(at: int, labels: list[float]) -> dict[str, Any]:
    texts = [f"response {place}" for place in range(len(labels))]
    return {"id": at, "conversation": [{"role": "user", "content": "why?"}], "responses": texts, "labels": labels}


def test_fewer_rows_are_among_more(rows: ModuleType) -> None:
    part = rows.Part("human", "made", 50, None)
    given = [_row(at, [0, 1]) for at in range(300)]
    few, many = ([row["id"] for row in rows.chosen(part, given, items)] for items in (20, 400))
    assert len(few) == 10
    assert many[:10] == few
    assert len(set(many)) == 200
    with pytest.raises(InvalidInput, match="items: made has 300 rows of at most 900 words, not 350"):
        list(rows.chosen(part, given, 700))


def test_long_and_unwanted_rows_are_left_out(rows: ModuleType) -> None:
    part = rows.Part("human", "made", 100, None, rows._one_best)
    long = _row(1, [0, 1]) | {"responses": ["word " * 500, "word " * 500]}
    found = list(rows.chosen(part, [_row(0, [1, 1]), long, _row(2, [0, 1])], 1))
    assert [row["id"] for row in found] == ["made/2"]


def test_a_matrix_of_styles_becomes_a_pair_of_one_style(rows: ModuleType) -> None:
    row = _row(0, [0, 1, 1, 1, 0, 0])
    styles = {0: 0, 4: 1, 5: 2, 1: 0, 2: 1, 3: 2}
    seen = Counter()  # type: ignore[var-annotated]
    for at in range(60):
        pair = rows.as_pair(row, rows.draw("rm-bench", at))
        assert sorted(pair["labels"]) == [0, 1]
        places = [row["responses"].index(text) for text in pair["responses"]]
        assert [row["labels"][place] for place in places] == pair["labels"]
        assert styles[places[0]] == styles[places[1]]
        seen[styles[places[0]], pair["labels"][0]] += 1
    assert len(seen) == 6


def test_measured_rows_stay_what_they_were(rows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = list(read_records(rows.KEPT))
    assert len(kept) == 140
    assert {part_of(asked(row["conversation"])) for row in kept} == {"test"}
    now = {**kept[0], "id": kept[0]["id"].removeprefix("contrast/"), "responses": ["another"], "labels": [8]}
    monkeypatch.setattr(rows, "PARTS", (rows.Part("contrast", "contrast", 100, None, rows._of("contrast")),))
    dataset = datasets.Dataset.from_list([now, {**now, "id": "new"}])
    monkeypatch.setattr(rows, "read_dataset", lambda *_, **__: dataset)
    found = {row["id"]: row for row in rows.made(tmp_path, tmp_path, 141)}
    assert [found[row["id"]] for row in kept] == kept
    assert found["contrast/new"]["responses"] == ["another"]


def test_the_shares_make_a_whole(rows: ModuleType) -> None:
    assert sum(part.share for part in rows.PARTS) == 100
    assert {part.pool for part in rows.PARTS} == set(POOLS)
