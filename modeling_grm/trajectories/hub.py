"""A store on the Hub: pushed as the dataset that it is, and fetched as a folder that can be read.

    push_to_hub("runs/demo", "org/demo-judgements", private=True)
    for batch in read(folder_of("hf://datasets/org/demo-judgements"), ["item", "scores"]): ...

There it is a dataset like any other: `datasets.load_dataset(repo_id)` reads its samples, streaming too.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from ..hub_paths import asking, is_hub, resolve
from ..types_grm import InvalidInput
from .card import write_card
from .opening import recover
from .shards import STORE_FILE, is_whole, load_about, shards, sole_writer, writing

FILES = ["README.md", STORE_FILE, "data/*.parquet", "meta/*.parquet"]


def push_to_hub(folder: str | Path, repo_id: str, *, private: bool | None = None, revision: str | None = None) -> str:
    """Make or update the dataset that holds this store; samples that a killed run has left are taken in first.

    A push that was interrupted is made again: large files that have arrived are not sent twice.

    Args:
        folder: the store; nobody may write into it meanwhile.
        repo_id: `org/name`; made where it is not there.
        private: of a new one, for its namespace alone.
        revision: the branch, `main` if not given.

    Returns:
        The commit's hash.

    Raises:
        InvalidInput: no store, one without samples or one that is being written; or the Hub's no, with what to check.
    """
    folder = Path(folder)
    load_about(folder)
    with sole_writer(folder):
        with writing(folder):
            recover(folder)
            write_card(folder)
        if not shards(folder, "data"):
            raise InvalidInput(f"{folder}: holds no samples; score something with --store {folder} first")
        with asking(f"hf://datasets/{repo_id}"):
            api = HfApi()
            api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                allow_patterns=FILES,
                revision=revision,
                commit_message="Sampled judgements",
            )
    return str(commit.oid)


def folder_of(store: str | Path) -> Path:
    """A store's folder: the one that is named, or a copy of the one at this address (`hf://datasets/org/name@revision`).

    Raises:
        InvalidInput: no such dataset or revision, it is no store, or a shard was damaged on its way (it is forgotten).
    """
    if not is_hub(store):
        return Path(store)
    found = resolve(str(store))
    with asking(str(store)):
        folder = snapshot_download(
            found.repo_id, repo_type=found.repo_type, revision=found.revision, allow_patterns=FILES
        )
    load_about(Path(folder))
    for path in (*shards(Path(folder), "data"), *shards(Path(folder), "meta")):
        _check_whole(path)
    return Path(folder)


def _check_whole(copy: Path) -> None:
    if not is_whole(copy):
        copy.resolve().unlink()  # what the cache holds
        copy.unlink(missing_ok=True)
        raise InvalidInput(f"{copy.name}: was damaged on its way from the Hub; run the same again, it is fetched anew")
