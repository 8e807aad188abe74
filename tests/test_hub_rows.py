"""`grm score` from the Hub and to it: files and datasets by address, streamed, and what to check where one fails."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hub import LocalHub
from hub.here import spoken_to
from shell import Grm

from modeling_grm import RewardScoringPipeline, cli, hub_paths
from modeling_grm.backends.fake import Fake
from modeling_grm.rows import BadRow, Row, count_rows, read_rows
from modeling_grm.types_grm import InvalidInput

ROWS = [
    {"id": f"row-{at}", "query": f"Question {at}?", "responses": ["yes", "no"], "best": at % 2, "licence": "MIT"}
    for at in range(5)
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
HOME = "hf://datasets/org/rows"


def parquet_bytes(rows: list[dict[str, Any]], path: Path) -> bytes:
    """The rows as a parquet file."""
    datasets.Dataset.from_list(rows).to_parquet(path)
    return path.read_bytes()


@pytest.fixture
def rows(hub: LocalHub, tmp_path: Path) -> LocalHub:
    """A repository with the same rows as .jsonl, .jsonl.gz and .parquet, and another with two splits of them."""
    api = hub.api()
    files = {
        "rows.jsonl": LINES,
        "more/rows.jsonl.gz": gzip.compress(LINES),
        "rows.parquet": parquet_bytes(ROWS, tmp_path / "a.parquet"),
    }
    api.create_repo("org/rows", repo_type="dataset")
    api.create_repo("org/splits", repo_type="dataset")
    for path, content in files.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id="org/rows", repo_type="dataset")
    for split in ("train", "test"):
        api.upload_file(path_or_fileobj=LINES, path_in_repo=f"{split}.jsonl", repo_id="org/splits", repo_type="dataset")
    return hub


@pytest.fixture
def grm(grm: Grm, monkeypatch: pytest.MonkeyPatch) -> Grm:
    """`grm WORDS` with canned judgements."""
    monkeypatch.setattr(cli, "load", lambda *_, **__: RewardScoringPipeline(Fake(["Scores: \\boxed{8, 3}"])))
    return grm


@pytest.mark.parametrize("file", ["rows.jsonl", "more/rows.jsonl.gz", "rows.parquet"])
def test_a_file_on_the_hub_reads_as_a_local_one(rows: LocalHub, file: str) -> None:
    read = list(read_rows(f"{HOME}/{file}"))
    assert [(row.id, row.best, row.licence) for row in read if isinstance(row, Row)] == [
        (row["id"], row["best"], "MIT") for row in ROWS
    ]
    assert read[2].place == f"{HOME}/{file}:3"
    assert len(list(read_rows(f"{HOME}/{file}", limit=2))) == 2
    assert count_rows(f"{HOME}/{file}", 2) == 2


def test_a_whole_dataset_is_streamed_split_by_split(rows: LocalHub) -> None:
    read = list(read_rows("hf://datasets/org/splits", split="test"))
    assert [row.id for row in read] == [row["id"] for row in ROWS]
    assert read[4].place == "hf://datasets/org/splits:5"
    with pytest.raises(InvalidInput, match=r"split: .* has train, test; choose one with --split"):
        read_rows("hf://datasets/org/splits")
    with pytest.raises(InvalidInput, match="'dev' is none of them"):
        read_rows("hf://datasets/org/splits", split="dev")


def test_a_revision_is_read_as_it_was(rows: LocalHub) -> None:
    rows.api().create_tag("org/rows", tag="v1", repo_type="dataset")
    rows.api().upload_file(
        path_or_fileobj=LINES * 2, path_in_repo="rows.jsonl", repo_id="org/rows", repo_type="dataset"
    )
    counts = {at: len(list(read_rows(f"{HOME}{at}/rows.jsonl"))) for at in ("", "@v1", "@main")}
    assert counts == {"": 10, "@v1": 5, "@main": 10}


def test_a_broken_line_is_taken_up_again_and_a_dead_one_ends_the_rows(rows: LocalHub) -> None:
    rows.faults.next(cut=100, method="GET", path="rows.jsonl")
    assert len([row for row in read_rows(f"{HOME}/rows.jsonl") if isinstance(row, Row)]) == 5
    rows.faults.next(cut=100, method="GET", path="rows.jsonl", times=9)
    *whole, last = read_rows(f"{HOME}/rows.jsonl")
    assert isinstance(last, BadRow)
    assert "cannot be read from here on" in last.error
    assert len(whole) < 5


def test_a_line_costs_a_buffer_not_the_file(rows: LocalHub) -> None:
    rows.api().upload_file(
        path_or_fileobj=LINES * 20_000, path_in_repo="long.jsonl", repo_id="org/rows", repo_type="dataset"
    )
    with hub_paths.stream(f"{HOME}/long.jsonl") as file:
        assert json.loads(file.readline())["id"] == "row-0"
        assert file.raw._file.loc <= hub_paths.BUFFER  # type: ignore[attr-defined]
    assert [row.id for row in read_rows(f"{HOME}/long.jsonl", limit=6)] == [row["id"] for row in [*ROWS, ROWS[0]]]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("hf://datasets/org/nothing/rows.jsonl", "no such repository, or it is private"),
        ("hf://org/rows/rows.jsonl", "no such repository"),
        ("hf://datasets/org/rows@v9/rows.jsonl", "no such revision"),
        (
            "hf://datasets/org/rows/no.jsonl",
            "no such file; the repository has more/rows.jsonl.gz, rows.jsonl, rows.parquet",
        ),
        ("hf://datasets/org/rows/more", "unknown kind of file"),
        ("hf://datasets/org", "no address on the Hub"),
        ("hf://", "no address on the Hub"),
        ("hf://buckets/org/rows/rows.jsonl", "a bucket"),
        ("hf://datasets/org/empty", "cannot be used"),
        (
            "hf://datasets/org/pairs",
            "needs rows with `query` or `conversation`, and `responses`; it has `chosen`, `prompt`",
        ),
        ("hf://me/tiny", "a model's repository"),
    ],
)
def test_what_to_check_is_said_before_a_model_is_loaded(
    rows: LocalHub, grm: Any, monkeypatch: pytest.MonkeyPatch, address: str, named: str
) -> None:
    api = rows.api()
    api.create_repo("me/tiny")
    for name in ("empty", "pairs"):
        api.create_repo(f"org/{name}", repo_type="dataset")
    pairs = json.dumps({"prompt": "a", "chosen": "b"}).encode()
    api.upload_file(path_or_fileobj=pairs, path_in_repo="a.jsonl", repo_id="org/pairs", repo_type="dataset")
    monkeypatch.setattr(cli, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    code, out, err = grm("score", address)
    assert (code, out) == (2, "")
    assert named in err


def test_private_and_gated_rows_need_a_token(rows: LocalHub, tmp_path: Path) -> None:
    rows.api().update_repo_settings("org/rows", repo_type="dataset", private=True)
    rows.api().update_repo_settings("org/splits", repo_type="dataset", gated="auto")
    assert len(list(read_rows(f"{HOME}/rows.jsonl"))) == 5
    with spoken_to(rows, tmp_path / "stranger") as patched:
        patched.setenv("HF_TOKEN", rows.stranger_token)
        with pytest.raises(InvalidInput, match=r"private.*HF_TOKEN"):
            read_rows(f"{HOME}/rows.jsonl")
        for address in ("hf://datasets/org/splits/train.jsonl", "hf://datasets/org/splits"):
            with pytest.raises(InvalidInput, match="gated; ask for access"):
                read_rows(address)
        patched.delenv("HF_TOKEN")
        with pytest.raises(InvalidInput, match=r"private.*HF_TOKEN"):
            read_rows(f"{HOME}/rows.jsonl")


def test_offline_is_said() -> None:
    with pytest.raises(InvalidInput, match="offline mode; unset HF_HUB_OFFLINE"):
        read_rows(f"{HOME}/rows.jsonl")


def test_split_belongs_to_a_dataset(tmp_path: Path, rows: LocalHub) -> None:
    with pytest.raises(InvalidInput, match="split: belongs to"):
        read_rows(tmp_path / "rows.jsonl", split="train")
    with pytest.raises(InvalidInput, match="split: belongs to"):
        read_rows(f"{HOME}/rows.jsonl", split="train")


def test_scores_go_back_to_the_hub(rows: LocalHub, grm: Any) -> None:
    out = f"{HOME}/scores/mine.jsonl"
    code, _, err = grm("score", f"{HOME}/rows.jsonl", "--k", "2", "--out", out)
    assert code == 0, err
    written = [json.loads(line) for line in rows.files("org/rows", "dataset")["scores/mine.jsonl"].splitlines()]
    assert [one["id"] for one in written] == [row["id"] for row in ROWS]
    assert written[0]["scores"] == [5.5, 5.5]  # 8 and 3, shown in both orders
    assert "5 scored" in err


def test_scores_go_to_a_branch(rows: LocalHub, grm: Any) -> None:
    rows.api().create_branch("org/rows", branch="mine", repo_type="dataset")
    code, _, err = grm("score", "hf://datasets/org/splits", "--split", "train", "--out", f"{HOME}@mine/s.jsonl")
    assert code == 0, err
    assert len(rows.files("org/rows", "dataset", "mine")["s.jsonl"].splitlines()) == 5
    assert "s.jsonl" not in rows.files("org/rows", "dataset")


@pytest.mark.parametrize(
    ("out", "token", "named"),
    [
        ("hf://datasets/org/nothing/s.jsonl", "hf_writer", "no such repository"),
        ("hf://datasets/org/rows", "hf_writer", "name the file in it, such as hf://datasets/org/rows/scores.jsonl"),
        ("hf://datasets/org/rows@v9/s.jsonl", "hf_writer", "no such revision"),
        ("hf://datasets/org/rows/s.jsonl", "hf_reader", "permission to write"),
        ("hf://datasets/org/rows/s.jsonl", "hf_stranger", "permission to write"),
    ],
)
def test_where_nothing_can_be_written_nothing_is_scored(
    rows: LocalHub, grm: Any, monkeypatch: pytest.MonkeyPatch, out: str, token: str, named: str
) -> None:
    monkeypatch.setattr(cli, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setenv("HF_TOKEN", token)
    code, _, err = grm("score", "--query", "Q", "--response", "A", "--out", out)
    assert code == 2
    assert named in err


def test_scores_that_the_hub_does_not_take_are_kept(rows: LocalHub) -> None:
    rows.faults.next(status=500, path="/commit/")
    lies = "what was to be written lies in"
    with pytest.raises(InvalidInput, match=lies) as refused, hub_paths.writing(f"{HOME}/s.jsonl") as text:
        text.write("precious\n")
    kept = Path(str(refused.value).rsplit(" ", 1)[1])
    assert kept.read_text() == "precious\n"
    kept.unlink()


def test_what_was_scored_before_an_end_is_written(rows: LocalHub) -> None:
    with pytest.raises(KeyboardInterrupt), hub_paths.writing(f"{HOME}/s.jsonl") as text:  # noqa: PT012
        text.write("first\n")
        raise KeyboardInterrupt
    assert rows.files("org/rows", "dataset")["s.jsonl"] == b"first\n"
