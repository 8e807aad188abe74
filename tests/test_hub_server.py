"""The local Hub, met with the real client: repositories, revisions, permissions, and what can go wrong on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import LocalHub
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfFileSystem,
    constants,
    get_session,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

WEIGHTS = bytes(range(256)) * 4096  # one megabyte
CARD = "---\nlicense: mit\npipeline_tag: text-generation\ntags:\n- reward-model\n---\n# A judge\n"


def folder_with(folder: Path, **files: bytes | str) -> Path:
    """A folder with these files; two underscores stand for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


@pytest.fixture
def judge(hub: LocalHub, tmp_path: Path) -> str:
    """A model repository with a card, a configuration and weights."""
    folder = folder_with(tmp_path / "judge", config__json='{"a": 1}', README__md=CARD, model__safetensors=WEIGHTS)
    hub.api().create_repo("me/judge")
    hub.api().upload_folder(repo_id="me/judge", folder_path=folder)
    return "me/judge"


def test_a_folder_goes_up_and_comes_down_as_it_was(hub: LocalHub, judge: str) -> None:
    fetched = Path(snapshot_download(judge))
    there = {path.name: path.read_bytes() for path in fetched.iterdir()}
    assert there == dict(hub.files(judge))
    assert there["model.safetensors"] == WEIGHTS
    info = hub.api().model_info(judge, files_metadata=True)
    assert (info.pipeline_tag, info.tags, info.card_data.license) == ("text-generation", ["reward-model"], "mit")
    assert {one.rfilename: bool(one.lfs) for one in info.siblings}["model.safetensors"]
    assert not {one.rfilename: bool(one.lfs) for one in info.siblings}["config.json"]


def test_what_has_not_changed_is_not_sent_again(hub: LocalHub, judge: str, tmp_path: Path) -> None:
    sent, before = hub.count("PUT", "/large/"), hub.api().model_info(judge).sha
    hub.api().upload_folder(repo_id=judge, folder_path=tmp_path / "judge")
    assert (hub.count("PUT", "/large/"), hub.api().model_info(judge).sha) == (sent, before)
    hub.api().create_repo("me/copy")
    hub.api().upload_folder(repo_id="me/copy", folder_path=tmp_path / "judge")
    assert hub.count("PUT", "/large/") == sent
    assert hub.files("me/copy") == hub.files(judge)


def test_each_type_of_repository_has_names_of_its_own(hub: LocalHub) -> None:
    api = hub.api()
    for kind, extra in (("model", {}), ("dataset", {}), ("space", {"space_sdk": "gradio"})):
        url = api.create_repo("org/same", repo_type=kind, **extra)
        assert (url.repo_id, url.repo_type) == ("org/same", kind)
        api.upload_file(path_or_fileobj=kind.encode(), path_in_repo="a/what.txt", repo_id="org/same", repo_type=kind)
    assert {kind: hub.files("org/same", kind)["a/what.txt"] for kind in ("model", "dataset", "space")} == {
        "model": b"model", "dataset": b"dataset", "space": b"space",
    }  # fmt: skip
    api.delete_repo("org/same", repo_type="dataset")
    assert not api.repo_exists("org/same", repo_type="dataset")
    assert api.repo_exists("org/same")


def test_a_repository_that_is_there_is_a_conflict_with_its_address(hub: LocalHub, judge: str) -> None:
    with pytest.raises(HfHubHTTPError, match="already created"):
        hub.api().create_repo(judge)
    assert hub.api().create_repo(judge, exist_ok=True).repo_id == judge


def test_branches_tags_hashes_and_pull_requests_are_revisions(hub: LocalHub, judge: str) -> None:
    api, name = hub.api(), "config.json"
    first = api.model_info(judge).sha
    api.create_tag(judge, tag="v1")
    api.create_branch(judge, branch="feat/x")
    new = {"path_or_fileobj": b"{}", "path_in_repo": name, "repo_id": judge}
    api.upload_file(**new)
    pull = api.upload_file(**new | {"path_or_fileobj": b"[]"}, create_pr=True)
    assert pull.pr_url.endswith("/discussions/1")
    read = {at: Path(api.hf_hub_download(judge, name, revision=at)).read_text() for at in
            ("main", "v1", "feat/x", first, first[:10], "refs/pr/1")}  # fmt: skip
    assert list(read.values()) == ["{}", '{"a": 1}', '{"a": 1}', '{"a": 1}', '{"a": 1}', "[]"]
    refs = api.list_repo_refs(judge, include_pull_requests=True)
    assert ([one.name for one in refs.branches], [one.name for one in refs.tags]) == (["main", "feat/x"], ["v1"])
    assert [one.ref for one in refs.pull_requests] == ["refs/pr/1"]
    assert [one.commit_id for one in api.list_repo_commits(judge)][1] == first
    with pytest.raises(RevisionNotFoundError):
        api.model_info(judge, revision="v2")
    api.delete_branch(judge, branch="feat/x")
    api.delete_tag(judge, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(judge, name, revision="v1", force_download=True)


def test_a_commit_is_all_of_its_operations_or_none(hub: LocalHub, judge: str) -> None:
    api, before = hub.api(), dict(hub.files("me/judge"))
    add = CommitOperationAdd("deep/er/a.txt", b"a")
    with pytest.raises(EntryNotFoundError):
        api.create_commit(judge, [add, CommitOperationDelete("nothing.txt")], commit_message="both")
    assert hub.files(judge) == before
    with pytest.raises(HfHubHTTPError, match="has happened since"):
        api.create_commit(judge, [add], commit_message="late", parent_commit="0" * 40)
    done = api.create_commit(judge, [add, CommitOperationDelete("README.md")], commit_message="both")
    assert set(hub.files(judge)) == {"config.json", "model.safetensors", "deep/er/a.txt"}
    assert done.oid == api.model_info(judge).sha
    api.delete_folder("deep", judge)
    assert set(hub.files(judge)) == {"config.json", "model.safetensors"}


def test_trees_come_in_pages_and_by_path(tmp_path: Path) -> None:
    from hub.here import spoken_to

    with LocalHub(page=2) as hub, spoken_to(hub, tmp_path):
        api = hub.api()
        api.create_repo("me/many")
        many = [CommitOperationAdd(f"d{at % 2}/f{at}.txt", b"x" * at) for at in range(7)]
        api.create_commit("me/many", many, commit_message="many")
        tree = list(api.list_repo_tree("me/many", recursive=True, expand=True))
        assert len(tree) == 9
        assert {one.path for one in api.list_repo_tree("me/many", "d1")} == {"d1/f1.txt", "d1/f3.txt", "d1/f5.txt"}
        assert [one.path for one in api.get_paths_info("me/many", ["d0", "d1/f1.txt", "no"])] == ["d1/f1.txt", "d0"]
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree("me/many", "nowhere"))
        assert sorted(HfFileSystem().glob("me/many/**/*.txt")) == sorted(
            f"me/many/d{at % 2}/f{at}.txt" for at in range(7)
        )


def test_a_private_repository_is_not_there_for_others(hub: LocalHub) -> None:
    hub.api().create_repo("me/secret", private=True)
    hub.api().upload_file(path_or_fileobj=b"s", path_in_repo="s.txt", repo_id="me/secret")
    assert hub.api(hub.read_token).model_info("me/secret").private
    for token, status in ((False, 401), (hub.stranger_token, 404)):
        with pytest.raises(RepositoryNotFoundError) as refused:
            hub.api(token).hf_hub_download("me/secret", "s.txt")
        assert refused.value.response.status_code == status
        assert [one.id for one in hub.api(token).list_models()] == []
    hub.api().update_repo_settings("me/secret", private=False)
    assert hub.api(False).model_info("me/secret").id == "me/secret"


def test_a_gated_repository_shows_its_facts_and_keeps_its_files(hub: LocalHub, judge: str) -> None:
    hub.api().update_repo_settings(judge, gated="manual")
    assert hub.api(False).model_info(judge).gated == "manual"
    for token, status in ((False, 401), (hub.stranger_token, 403)):
        with pytest.raises(GatedRepoError) as refused:
            hub.api(token).hf_hub_download(judge, "config.json")
        assert refused.value.response.status_code == status
    hub.api().grant_access(judge, "stranger", repo_type="model")
    assert Path(hub.api(hub.stranger_token).hf_hub_download(judge, "config.json")).is_file()


@pytest.mark.parametrize(
    ("token", "status"), [(False, 401), ("hf_unknown", 401), ("hf_reader", 403), ("hf_stranger", 403)]
)
def test_who_may_not_write_is_told_so(hub: LocalHub, judge: str, token: Any, status: int) -> None:
    for ask in (
        lambda api: api.create_repo("me/new"),
        lambda api: api.upload_file(path_or_fileobj=b"", path_in_repo="a", repo_id=judge),
        lambda api: api.auth_check(judge, write=True),
        lambda api: api.delete_repo(judge),
    ):
        with pytest.raises(HfHubHTTPError) as refused:
            ask(hub.api(token))
        assert refused.value.response.status_code == status
    assert set(hub.files(judge)) == {"README.md", "config.json", "model.safetensors"}


def test_who_one_is(hub: LocalHub) -> None:
    me = hub.api().whoami()
    assert (me["name"], [one["name"] for one in me["orgs"]]) == ("me", ["org"])
    assert hub.api(hub.read_token).whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match=r"[Ii]nvalid"):
        hub.api("hf_unknown").whoami()


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ("---\nlicense: mine\n---\n", "license"),
        ("---\npipeline_tag: reward-scoring\n---\n", "pipeline_tag"),
        ("---\ntags: [1, 2]\n---\n", "tags"),
        ("---\n- a list\n---\n", "mapping"),
        ("---\na: [\n---\n", "YAML"),
    ],
)
def test_a_card_that_the_hub_would_refuse(hub: LocalHub, judge: str, card: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        hub.api().upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=judge)
    assert hub.files(judge)["README.md"] == CARD.encode()


def test_a_space_has_hardware_secrets_and_variables(hub: LocalHub) -> None:
    api, name = hub.api(), "me/demo"
    api.create_repo(name, repo_type="space", space_sdk="gradio", space_hardware="zero-a10g")
    assert api.get_space_runtime(name).requested_hardware == "zero-a10g"
    assert api.request_space_hardware(name, "cpu-basic").requested_hardware == "cpu-basic"
    api.add_space_secret(name, "KEY", "hidden")
    api.add_space_variable(name, "MODEL", "me/judge")
    assert hub.storage.find("space", name).secrets["KEY"]["value"] == "hidden"
    assert api.get_space_variables(name)["MODEL"].value == "me/judge"
    assert list(api.get_space_secrets(name)) == ["KEY"]
    assert api.space_info(name).sdk == "gradio"


def test_an_upload_goes_on_where_it_was_interrupted(hub: LocalHub, tmp_path: Path) -> None:
    """Large files that arrived before the line broke are not sent again, and nothing is seen of half a commit."""
    folder = folder_with(tmp_path / "two", a__safetensors=WEIGHTS, b__safetensors=WEIGHTS[::-1], config__json="{}")
    hub.api().create_repo("me/two")
    hub.faults.next(status=400, method="PUT", skip=1)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        hub.api().upload_folder(repo_id="me/two", folder_path=folder)
    assert (hub.count("PUT", "/large/"), dict(hub.files("me/two"))) == (1, {})
    hub.faults.next(status=503, path="/commit/")
    with pytest.raises(HfHubHTTPError, match="503"):
        hub.api().upload_folder(repo_id="me/two", folder_path=folder)
    assert (hub.count("PUT", "/large/"), dict(hub.files("me/two"))) == (2, {})
    hub.api().upload_folder(repo_id="me/two", folder_path=folder)
    assert hub.count("PUT", "/large/") == 2
    assert hub.files("me/two")["b.safetensors"] == WEIGHTS[::-1]


def test_a_download_goes_on_where_the_line_broke(hub: LocalHub, judge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # what the client writes at once, and so keeps
    hub.faults.next(cut=600_000, method="GET", path="model.safetensors")
    assert Path(hub.api().hf_hub_download(judge, "model.safetensors")).read_bytes() == WEIGHTS
    (first, second) = [one for one in hub.log if one.method == "GET" and "resolve" in one.path]
    assert (first.range, first.status) == ("", 200)
    assert second.status == 206
    assert 0 < int(second.range.removeprefix("bytes=").rstrip("-")) <= 600_000


def test_a_snapshot_fetches_only_what_is_not_there(hub: LocalHub, judge: str) -> None:
    hub.faults.next(status=500, method="GET", path="model.safetensors")
    with pytest.raises(HfHubHTTPError):
        snapshot_download(judge, max_workers=1)
    snapshot_download(judge)
    assert [one.path.rsplit("/", 1)[1] for one in hub.log if one.method == "GET" and "resolve" in one.path
            and one.status == 200].count("config.json") == 1  # fmt: skip


def test_busy_and_broken_servers_are_asked_again_or_named(hub: LocalHub, judge: str) -> None:
    hub.faults.next(status=429, headers={"Retry-After": "0"}, method="GET", path="resolve")
    assert Path(hub.api().hf_hub_download(judge, "config.json")).read_text() == '{"a": 1}'
    hub.faults.next(status=500, path="/api/models/")
    with pytest.raises(HfHubHTTPError, match="500"):
        hub.api().model_info(judge)
    hub.faults.next(status=401, path="/api/models/")
    with pytest.raises(HfHubHTTPError, match="401"):
        hub.api().model_info(judge)
    hub.faults.next(delay=1.0, method="HEAD")
    assert Path(hub.api().hf_hub_download(judge, "README.md", etag_timeout=0.2)).read_text() == CARD


def test_a_file_of_another_size_is_refused_and_one_with_another_byte_is_not(hub: LocalHub, judge: str) -> None:
    """The client compares sizes, not hashes: what reads the file must notice the rest (`test_hub_datasets`)."""
    hub.faults.next(shorten=10, method="GET", path="model.safetensors")
    with pytest.raises(OSError, match="Consistency check failed"):
        hub.api().hf_hub_download(judge, "model.safetensors")
    hub.faults.next(corrupt=True, method="GET", path="model.safetensors")
    damaged = Path(hub.api().hf_hub_download(judge, "model.safetensors")).read_bytes()
    assert len(damaged) == len(WEIGHTS)
    assert damaged != WEIGHTS


def test_ranges(hub: LocalHub, judge: str) -> None:
    with HfFileSystem().open(f"{judge}/model.safetensors", "rb", block_size=1000) as file:
        file.seek(500_000)
        assert file.read(10) == WEIGHTS[500_000:500_010]
    assert any(one.status == 206 for one in hub.log)
    past = {"range": f"bytes={len(WEIGHTS)}-"}
    answer = get_session().get(f"{hub.url}/{judge}/resolve/main/model.safetensors", headers=past)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(WEIGHTS)}")


def test_a_fresh_process_speaks_to_it(hub: LocalHub, judge: str, tmp_path: Path) -> None:
    code = "import huggingface_hub as h; print(h.whoami()['name']); h.hf_hub_download('me/judge', 'config.json')"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=hub.environment(tmp_path / "home"), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["me"]
    assert list((tmp_path / "home").rglob("config.json"))
