"""Trajectories and preferences on a Hub: pushed, loaded by id, streamed, and read back as they were."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import stores
from hub import LocalHub
from test_hub_server import WEIGHTS, folder_with
from tiny_judge import save_tiny, tiny_judge

from modeling_grm import RewardScoringPipeline, trajectories
from modeling_grm.backends.fake import Fake
from modeling_grm.cli import app
from modeling_grm.data.preference import Preference, from_row, to_dataset
from modeling_grm.data.sampling_card import write_card
from modeling_grm.rows import Row
from modeling_grm.trajectories import Store, canonical, folder_of, push_to_hub, read, write_meta
from modeling_grm.types_grm import InvalidInput

KINDS = ("free", "hinted")
SCORES = ["Scores: \\boxed{8, 3}"]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store of 24 samples, each rated by a meta RM."""
    folder = tmp_path / "store"
    stores.run(folder, stores.requests(6))
    keys = [key for batch in read(folder, ["key"]) for key in batch["key"].to_pylist()]
    write_meta(folder, "org/meta", {key: float(at) for at, key in enumerate(keys)})
    return folder


def prefer(rows: list[Row]) -> list[Preference]:
    """The sample's rows that have a truth."""
    return [
        Preference(row.request, row.best, None, row.source or "a", row.licence or "mit", row.id)
        for row in rows
        if isinstance(row.best, int) and row.request.n > 1
    ]


def test_a_store_goes_up_and_comes_back_by_its_id(hub: LocalHub, stored: Path) -> None:
    commit = push_to_hub(stored, "org/judged", private=True)
    files = set(hub.files("org/judged", "dataset"))
    assert {path.split("/")[0] for path in files} == {"README.md", "store.json", "data", "meta"}
    assert hub.api().dataset_info("org/judged").sha == commit
    there = folder_of("hf://datasets/org/judged")
    assert list(canonical(there)) == list(canonical(stored))
    assert trajectories.settings_in(there) == trajectories.settings_in(stored)


def test_a_pushed_store_is_a_dataset_that_loads_and_streams(hub: LocalHub, stored: Path) -> None:
    push_to_hub(stored, "org/judged")
    whole = datasets.load_dataset("org/judged", split="train")
    streamed = list(datasets.load_dataset("org/judged", split="train", streaming=True))
    mine = [row for batch in read(stored) for row in batch.to_pylist()]
    assert len(whole) == len(streamed) == len(mine) == 24
    names = ("key", "query", "responses", "order", "outcome", "scores", "text", "numbers", "labels", "best")
    for row, other, own in zip(whole, streamed, mine, strict=True):
        assert {name: row[name] for name in names} == {name: other[name] for name in names}
        assert {name: row[name] for name in names} == {name: own[name] for name in names}
    ratings = datasets.load_dataset("org/judged", "meta", split="train")
    assert sorted(ratings["meta_score"]) == [float(at) for at in range(24)]


def test_the_viewer_finds_plain_columns(hub: LocalHub, stored: Path) -> None:
    """No column is deeper than a list of flat records, and none is of a type that cannot be shown."""
    push_to_hub(stored, "org/judged")
    for name, feature in datasets.load_dataset("org/judged", split="train").features.items():
        inner = feature.feature if isinstance(feature, datasets.List) else feature
        fields = inner.values() if isinstance(inner, dict) else [inner]
        assert all(isinstance(field, datasets.Value) for field in fields), name


def test_a_second_push_sends_what_is_new(hub: LocalHub, stored: Path) -> None:
    push_to_hub(stored, "org/judged")
    sent = hub.count("PUT", "/large/")
    assert push_to_hub(stored, "org/judged") == hub.api().dataset_info("org/judged").sha
    assert hub.count("PUT", "/large/") == sent
    stores.run(stored, stores.requests(8))
    push_to_hub(stored, "org/judged")
    assert hub.count("PUT", "/large/") == sent + 1
    assert list(canonical(folder_of("hf://datasets/org/judged"))) == list(canonical(stored))


def test_what_a_killed_run_left_is_pushed_too(hub: LocalHub, stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "killed"
    kept = Store(other, stores.settings())
    asked = stores.requests(1)
    kept.register(asked[0])
    from modeling_grm.scoring_grm import score

    list(score(asked, kept.recording(stores.Scripted()), stores.CONFIG))
    with pytest.raises(InvalidInput, match="writes into it"):
        push_to_hub(other, "org/killed")
    kept._let_go()  # as a kill does: the journal stays
    assert list(other.glob("journal-*"))
    push_to_hub(other, "org/killed")
    assert len(list(canonical(folder_of("hf://datasets/org/killed")))) == 4


def test_revisions_of_a_store(hub: LocalHub, stored: Path) -> None:
    push_to_hub(stored, "org/judged")
    hub.api().create_tag("org/judged", tag="v1", repo_type="dataset")
    stores.run(stored, stores.requests(7))
    push_to_hub(stored, "org/judged")
    rows = {at: sum(map(len, read(folder_of(f"hf://datasets/org/judged{at}"), ["key"]))) for at in ("", "@v1")}
    assert rows == {"": 28, "@v1": 24}


def test_what_cannot_be_pushed_or_fetched_is_named(hub: LocalHub, stored: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no trajectory store"):
        push_to_hub(folder_with(tmp_path / "other", a="b"), "org/other")
    with Store(tmp_path / "empty", stores.settings()):
        pass
    with pytest.raises(InvalidInput, match="holds no samples"):
        push_to_hub(tmp_path / "empty", "org/empty")
    with pytest.raises(InvalidInput, match="permission to write under that name"):
        push_to_hub(stored, "stranger/judged")
    with pytest.raises(InvalidInput, match="no such repository"):
        folder_of("hf://datasets/org/nothing")
    hub.api().create_repo("org/plain", repo_type="dataset")
    with pytest.raises(InvalidInput, match="no trajectory store"):
        folder_of("hf://datasets/org/plain")


def test_a_shard_that_was_damaged_on_the_way_is_named_and_fetched_again(hub: LocalHub, stored: Path) -> None:
    push_to_hub(stored, "org/judged")
    hub.faults.next(corrupt=True, method="GET", path="/data/000000")
    with pytest.raises(InvalidInput, match=r"000000-.*was damaged on its way"):
        folder_of("hf://datasets/org/judged")
    assert list(canonical(folder_of("hf://datasets/org/judged"))) == list(canonical(stored))


def test_a_shard_whose_column_names_are_damaged_is_named(stored: Path) -> None:
    (shard,) = (stored / "data").glob("*.parquet")
    before, name, after = shard.read_bytes().partition(b"template_hash")
    shard.write_bytes(before + b"\xff" + name[1:] + after)
    with pytest.raises(InvalidInput, match="a damaged shard"):
        list(read(stored))


def test_a_vote_from_a_store_on_the_hub(hub: LocalHub, stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push_to_hub(stored, "org/judged")
    said = []
    for place in (str(stored), "hf://datasets/org/judged"):
        app(["revote", place, "--k", "1,2", "--json"], standalone_mode=False)
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["points"] == said[1]["points"]


def test_preferences_push_load_and_stream(hub: LocalHub, sample_rows: list[Row]) -> None:
    items = prefer(sample_rows)[:20]
    to_dataset(items).push_to_hub("me/preferences")
    loaded = datasets.load_dataset("me/preferences", split="train")
    streamed = datasets.load_dataset("me/preferences", split="train", streaming=True)
    assert [from_row(row) for row in loaded] == items
    assert [from_row(row) for row in streamed] == items
    assert set(loaded.features["conversation"].feature) == {"role", "content"}


def test_sampled_judgements_push_with_their_card_and_load(hub: LocalHub, tmp_path: Path) -> None:
    """The folder that rejective sampling writes."""
    said = {"role": "user", "content": "Judge."}, {"role": "assistant", "content": "Scores: \\boxed{8, 3}"}
    rows = [{"id": "a", "prompt": [said[0]], "completion": [said[1]], "scores": [8, 3], "licence": "mit"}]
    counts = {kind: dict.fromkeys(("samples", "kept", "incorrect", "too easy", "not made"), 1) for kind in KINDS}
    report = {
        "judge": {"model": "m", "backend": "fake", "rejection": True, "principles": True},
        "settings": {"k": 3},
        "sampled": {"here": counts},
    }
    (tmp_path / "rows" / "data").mkdir(parents=True)
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "rows" / "data" / "train-00000-of-00001.parquet")
    write_card(tmp_path / "rows", rows, report)
    hub.api().create_repo("me/sampled", repo_type="dataset")
    hub.api().upload_folder(repo_id="me/sampled", repo_type="dataset", folder_path=tmp_path / "rows")
    assert list(datasets.load_dataset("me/sampled", split="train")) == rows
    assert list(datasets.load_dataset("me/sampled", split="train", streaming=True)) == rows


def test_a_dataset_streams_into_the_pipeline(hub: LocalHub, sample_rows: list[Row]) -> None:
    items = [item for item in prefer(sample_rows) if item.request.n == 2][:12]
    to_dataset(items).push_to_hub("me/preferences")
    pipe = RewardScoringPipeline(Fake(SCORES))
    results = pipe(datasets.load_dataset("me/preferences", split="train", streaming=True), k=2)
    assert isinstance(results, Iterator)
    assert next(results)["scores"] is not None
    assert len(list(results)) == 11


def endless(read_: list[int]) -> Iterator[dict[str, Any]]:
    """Rows without end, with a column that no judge reads; notes how many were asked for."""
    for at in itertools.count():
        read_.append(at)
        yield {"query": f"Question {at}?", "responses": ["a", "b"], "other": at}


def test_an_endless_stream_is_read_as_far_as_it_is_scored() -> None:
    read_: list[int] = []
    rows = datasets.IterableDataset.from_generator(lambda: endless(read_))
    results = RewardScoringPipeline(Fake(SCORES))(rows, k=4)
    assert len(list(itertools.islice(results, 3))) == 3
    assert len(read_) <= 4


def test_an_engine_of_its_own_reads_one_batch_ahead() -> None:
    read_: list[int] = []
    model, tokenizer = tiny_judge()
    pipe = RewardScoringPipeline(model=model, tokenizer=tokenizer, template="compact")
    results = pipe(endless(read_), k=2, batch_size=4, max_new_tokens=4)
    assert len(list(itertools.islice(results, 3))) == 3
    assert len(read_) <= 16


def test_a_model_loads_by_its_id_and_a_damaged_one_does_not(hub: LocalHub, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hub.api().create_repo("me/tiny")
    hub.api().upload_folder(repo_id="me/tiny", folder_path=save_tiny(tmp_path / "tiny"))
    assert AutoTokenizer.from_pretrained("me/tiny").chat_template
    assert AutoModelForCausalLM.from_pretrained("me/tiny").config.num_hidden_layers == 2
    hub.api().upload_file(path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors", repo_id="me/tiny")
    with pytest.raises(Exception, match=r"(?i)header"):
        AutoModelForCausalLM.from_pretrained("me/tiny")


@pytest.mark.slow
def test_a_fresh_process_loads_and_scores_by_id(hub: LocalHub, stored: Path, tmp_path: Path) -> None:
    """What a stranger types, each line against the server alone: HF_ENDPOINT is read when the client is imported."""
    hub.api().create_repo("me/tiny")
    hub.api().upload_folder(repo_id="me/tiny", folder_path=save_tiny(tmp_path / "tiny"))
    push_to_hub(stored, "org/judged", private=True)
    code = """
import json, datasets, modeling_grm
rows = datasets.load_dataset("org/judged", split="train", streaming=True)
from transformers import pipeline
pipe = pipeline("reward-scoring", model="me/tiny", template="compact", max_new_tokens=8)
results = pipe(rows.select_columns(["query", "responses"]).take(3), k=2)
print(json.dumps([result["k"] for result in results]))
"""
    environment = hub.environment(tmp_path / "home")
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == [2, 2, 2]


@pytest.mark.slow
def test_grm_score_from_the_hub_to_the_hub(hub: LocalHub, tmp_path: Path) -> None:
    """The command itself, a judge by its id, 20 MB of rows of which a few are read, and scores as a commit."""
    hub.api().create_repo("me/tiny")
    hub.api().upload_folder(repo_id="me/tiny", folder_path=save_tiny(tmp_path / "tiny"))
    hub.api().create_repo("me/rows", repo_type="dataset")
    lines = "".join(json.dumps({"id": str(at), "query": "Q?", "responses": ["a" * 200, "b"]}) + "\n" for at in range(9))
    hub.api().upload_file(
        path_or_fileobj=lines.encode() * 9_000, path_in_repo="rows.jsonl", repo_id="me/rows", repo_type="dataset"
    )
    line = [sys.executable, "-m", "modeling_grm.cli", "score", "hf://datasets/me/rows/rows.jsonl", "--limit", "3"]
    line += ["--model", "me/tiny", "--template", "compact", "--k", "2", "--max-new-tokens", "8"]
    line += ["--out", "hf://datasets/me/rows/scores.jsonl"]
    environment = hub.environment(tmp_path / "home")
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    written = hub.files("me/rows", "dataset")["scores.jsonl"].splitlines()
    assert [json.loads(one)["id"] for one in written] == ["0", "1", "2"]


@pytest.mark.slow
def test_rows_of_the_hub_are_never_held(hub: LocalHub, tmp_path: Path) -> None:
    hub.api().create_repo("me/rows", repo_type="dataset")
    row = json.dumps({"query": "Q?", "responses": ["a" * 2_000, "b"]}) + "\n"
    hub.api().upload_file(
        path_or_fileobj=row.encode() * 15_000, path_in_repo="rows.jsonl", repo_id="me/rows", repo_type="dataset"
    )
    code = """
import tracemalloc
from modeling_grm.rows import read_rows
rows = read_rows("hf://datasets/me/rows/rows.jsonl")
next(rows)
tracemalloc.start()
print(sum(1 for _ in rows), tracemalloc.get_traced_memory()[1])
"""
    environment = hub.environment(tmp_path / "home")
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    count, peak = map(int, ended.stdout.split())
    assert count == 14_999
    assert peak < 2 << 20, f"{peak:,} bytes for a file of 30 MB"
