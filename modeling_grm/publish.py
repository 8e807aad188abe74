"""`grm publish`: models, datasets, Spaces and the pipeline's code, made, checked and uploaded in one command.

    grm publish model runs/mine --repo org/my-grm --report report/report.json
    grm publish model embedded --repo org/smollm2-135m-grm --dry-run
    grm publish dataset runs/demo --repo org/demo-trajectories
    grm publish space spaces/reward_scoring --repo org/reward-scoring
    grm publish code --repo org/grm-code
    grm publish suite --org org --dry-run

`--dry-run` makes and checks the folder, lists it, and sends nothing; `--out` keeps it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import ERR, print_rows

if TYPE_CHECKING:
    from .publishing.repository import Repo

app = typer.Typer(no_args_is_help=True, help="Put models, datasets and Spaces on the Hub, checked first.")
Make = Callable[[str, Path], "Repo"]

RepoId = Annotated[str, typer.Option("--repo", help="Where to: org/name.")]
Private = Annotated[bool, typer.Option("--private", help="Create it private; one that exists stays as it is.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Make and check it, list its files, and send nothing.")]
Out = Annotated[Path | None, typer.Option(help="Make it in this folder, and keep it; a temporary one if left out.")]
CardFile = Annotated[Path | None, typer.Option("--card", help="What only you know; FOLDER/card.yaml if left out.")]


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    from .publishing.repository import new_folder

    if out is not None:
        yield new_folder(out)
        return
    with tempfile.TemporaryDirectory(prefix="grm-publish-") as folder:
        yield Path(folder)


def publish(make: Make, repo_id: str, repo_type: str, *, private: bool, dry_run: bool, out: Path | None) -> None:
    """Make a repository, check it in a fresh process, and upload it.

    Raises:
        InvalidInput: the Hub would not take it (seen before anything is made), or what is wrong with it.
    """
    from .publishing.checks import check
    from .publishing.repository import checked_id
    from .publishing.uploading import client, permitted, upload

    checked_id(repo_id)
    api = client()
    if not dry_run:
        permitted(repo_id, repo_type, api)
    with _place(out) as folder:
        repo = make(repo_id, folder)
        said = check(repo)
        _list(repo, said)
        kept = f"; it stands in {out}" if out else ""
        done = f"checked, nothing was sent{kept}" if dry_run else upload(repo, api, private or None)
        ERR.print(f"{repo_id}: {done}", markup=False, soft_wrap=True)


def _list(repo: Repo, said: dict[str, Any]) -> None:
    rows = [{"file": name, "bytes": size, "sha": sha} for name, (size, sha) in repo.digests().items()]
    print_rows(f"{repo.type} {repo.id}", {"file": "file", "bytes": "bytes", "sha": "SHA-256"}, rows)
    ERR.print(f"{repo.id}: used in a fresh process: {json.dumps(said)}", markup=False, soft_wrap=True)


@app.command()
def model(
    folder: Annotated[Path, typer.Argument(help="A checkpoint, a LoRA adapter, or `embedded` for the embedded judge.")],
    repo: RepoId,
    report: Annotated[Path | None, typer.Option(help="report.json of `grm bench`, for the card's table.")] = None,
    card: CardFile = None,
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="An adapter as it is; who uses it needs this package.")
    ] = False,
    code: Annotated[
        str | None, typer.Option(help="Hub id of a repository of the pipeline's files, in the place of a copy.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
    out: Out = None,
) -> None:
    """Publish a judge or a meta RM with its own pipeline, as safetensors; an adapter is merged into its base."""
    from .publishing.models import Options, model_repo

    options = Options(card, report, adapter_only, code, link=out is None)
    publish(
        lambda repo_id, place: model_repo(folder, repo_id, place, options),
        repo, "model", private=private, dry_run=dry_run, out=out,
    )  # fmt: skip


@app.command()
def dataset(
    folder: Annotated[Path, typer.Argument(help="A trajectory store, or a folder or file of preference rows.")],
    repo: RepoId,
    card: CardFile = None,
    allow_licence: Annotated[
        list[str] | None, typer.Option(help="A licence beside apache-2.0 and mit, in the rows' own words; repeatable.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
    out: Out = None,
) -> None:
    """Publish sampled judgements or preference rows; rows of other licences are refused."""
    from .publishing.rows import dataset_repo

    def make(repo_id: str, place: Path) -> Repo:
        return dataset_repo(
            folder, repo_id, place, card=card, allow_licences=allow_licence or [], link=out is None
        )  # fmt: skip

    publish(make, repo, "dataset", private=private, dry_run=dry_run, out=out)


@app.command()
def space(
    folder: Annotated[Path, typer.Argument(help="The Space's folder, with its card.yaml.")],
    repo: RepoId,
    card: CardFile = None,
    private: Private = False,
    dry_run: DryRun = False,
    out: Out = None,
) -> None:
    """Publish a Space, created with the hardware that its card names."""
    from .publishing.spaces import space_repo

    publish(
        lambda repo_id, place: space_repo(folder, repo_id, place, card=card),
        repo, "space", private=private, dry_run=dry_run, out=out,
    )  # fmt: skip


@app.command()
def code(repo: RepoId, private: Private = False, dry_run: DryRun = False, out: Out = None) -> None:
    """Publish the pipeline's files alone, for checkpoints that name them (`grm publish model --code`)."""
    from .publishing.code import code_repo

    publish(code_repo, repo, "model", private=private, dry_run=dry_run, out=out)


@app.command()
def suite(
    org: Annotated[str, typer.Option(help="The organisation or user that all of it goes to.")],
    private: Private = False,
    dry_run: DryRun = False,
) -> None:
    """Publish every dataset, model and Space of this checkout, in that order."""
    from .publishing.suite import parts

    for part in parts():
        publish(part.make, f"{org}/{part.name}", part.type, private=private, dry_run=dry_run, out=None)
