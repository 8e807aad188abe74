"""A dataset's repository: a trajectory store, or preference rows, with a card that counts their sources and licences.

    dataset_repo(Path("runs/mine"), "org/my-trajectories", out)            a folder that `grm score --store` wrote
    dataset_repo(Path("rows"), "org/my-preferences", out)                  train.jsonl, test.parquet, ... or one file
    dataset_repo(Path("runs/sample/dataset"), "org/my-judgements", out)    data/*.parquet with a README.md of its own

A folder with a README.md and no `card.yaml` goes up as it is. Rows whose licence is not on the list are refused before
anything is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hub_cards import Count, PreferencesCard, TrajectoriesCard, from_mapping, render

from ..data.filters import refuse_licences
from ..data.preference import UNSTATED, Preference, Report, features, to_dataset
from ..data.sources import FILES, items_of
from ..types_grm import InvalidInput
from .repository import CARD_FILE, README, VERSION, Repo, author_says, own_readme
from .weights import collect

STORE = ("store.json", "data/*.parquet", "meta/*.parquet")
STORE_NAME = "store.json"
SPLITS = ("train", "validation", "test")
PREFERENCE_NOTES = {
    "id": "unique in its source",
    "conversation": "chat messages, the user's last",
    "responses": "what is judged",
    "best": "index of the single best response; null for a single response",
    "labels": "one number a response, larger is better; for a single response the score that is right",
    "reference": "a reference answer, where there is one",
    "source": "which dataset it comes from",
    "licence": "its licence, as its source states it",
}


def dataset_repo(
    folder: Path,
    repo_id: str,
    out: Path,
    *,
    card: Path | None = None,
    allow_licences: Sequence[str] = (),
    link: bool = False,
) -> Repo:
    """Make the repository of a dataset in an empty folder.

    Raises:
        InvalidInput: licences that are not allowed, rows that cannot be read, or what a card needs.
        ImportError: without pyarrow or datasets.
    """
    own = own_readme(folder, card)
    if own is None:
        said = author_says(card or (folder if folder.is_dir() else folder.parent) / CARD_FILE, repo_id)
        said |= {"repo_id": repo_id, "version": VERSION}
        if (folder / STORE_NAME).is_file():
            own = render(_store(folder, out, said, allow_licences, link))
        else:
            own = render(_preferences(folder, out, said, allow_licences))
    else:
        _ready(folder, out, allow_licences, link)
    (out / README).write_text(own, encoding="utf-8")
    return Repo(repo_id, "dataset", out, "dataset", replaces=("data/*.parquet", "meta/*.parquet"))


def _store(folder: Path, out: Path, said: dict[str, Any], allow: Sequence[str], link: bool) -> TrajectoriesCard:
    """A trajectory store as it is, without its lock; its own card gives way to a whole one."""
    from ..trajectories import COLUMNS, read, settings_in
    from ..trajectories.card import SHOWN, counted
    from ..trajectories.shards import shards

    counts = counted(folder)
    sources = _permitted(_origins(read(folder, ["source", "licence"])), allow)
    _check_ended(folder)
    collect(folder, out, STORE, link=link)
    configs = {"default": {"train": "data/*.parquet"}}
    configs |= {"meta": {"train": "meta/*.parquet"}} if shards(folder, "meta") else {}
    return from_mapping(
        TrajectoriesCard,
        said,
        rows=counts["outcome"].total(),
        items=len(counts["item"]),
        outcomes=dict(counts["outcome"].most_common()),
        settings=[{name: one[name] for name in SHOWN} for one in settings_in(folder).values()],
        counts=sources,
        columns=[(column.name, str(column.type), column.note) for column in COLUMNS],
        configs=configs,
    )


def _ready(folder: Path, out: Path, allow: Sequence[str], link: bool) -> None:
    """A dataset that has its card already, as the recipes and a store write it."""
    files = sorted((folder / "data").glob("*.parquet"))
    if not files:
        raise InvalidInput(f"folder: {folder} has a README.md and no data/*.parquet; add a card.yaml to publish rows")
    _permitted(_origins(batch for file in files for batch in _batches(file)), allow)
    _check_ended(folder)
    collect(folder, out, STORE, link=link)


def _batches(file: Path) -> Iterator[Any]:
    """The columns `source` and `licence` of a parquet file; a file without them states none."""
    try:
        from pyarrow import nulls, parquet
    except ImportError as error:
        raise ImportError("reading .parquet files needs pyarrow: pip install 'modeling-grm[data]'") from error
    with parquet.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=[n for n in ("source", "licence") if n in table.schema_arrow.names]):
            known = batch.schema.names
            yield {name: batch[name] if name in known else nulls(len(batch)) for name in ("source", "licence")}


def _check_ended(folder: Path) -> None:
    if any(folder.glob("journal-*.jsonl")):
        raise InvalidInput(f"folder: {folder} has samples in a journal still; let its run end, or run it again")


def _origins(batches: Iterable[Any]) -> Counter[Any]:
    """Rows by (source, licence)."""
    found: Counter[Any] = Counter()
    for batch in batches:
        found.update(zip(*(batch[name].to_pylist() for name in ("source", "licence")), strict=True))
    return found


def _permitted(found: Counter[Any], allow: Sequence[str]) -> list[Count]:
    """The same for a card.

    Raises:
        InvalidInput: licences that are not allowed, by name.
    """
    named = [(source or UNSTATED, licence or UNSTATED, rows) for (source, licence), rows in found.most_common()]
    refuse_licences({(licence, source): rows for source, licence, rows in named}, allow)
    return [Count(*one) for one in named]


def _preferences(path: Path, out: Path, said: dict[str, Any], allow: Sequence[str]) -> PreferencesCard:
    """Rows of preferences as parquet in the project's one schema, a file a split."""
    splits = {name: _items(file) for name, file in _split_files(path).items()}
    items = [item for found in splits.values() for item in found]
    counts = _permitted(Counter((item.source, item.licence) for item in items), allow)
    (out / "data").mkdir()
    for name, found in splits.items():
        to_dataset(found).to_parquet(out / "data" / f"{name}-00000-of-00001.parquet")
    return from_mapping(
        PreferencesCard,
        said,
        rows=len(items),
        counts=counts,
        columns=[(name, _type(feature), PREFERENCE_NOTES[name]) for name, feature in features().items()],
        configs={"default": {name: f"data/{name}-*.parquet" for name in splits}},
        shapes=dict(sorted(Counter(item.request.n for item in items).items())),
    )


def _type(feature: Any) -> str:
    return str(getattr(feature, "dtype", "list"))


def _split_files(path: Path) -> dict[str, Path]:
    """Split -> file: `train` and `test` by the files' names, `train` for any other single file.

    Raises:
        InvalidInput: no file of rows there.
    """
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.name.endswith(FILES))
    files = files or sorted((path / "data").glob("*.parquet"))
    if not files:
        raise InvalidInput(f"folder: {path} has no store.json and no file of rows ({', '.join(FILES)})")
    found = {_split(file): file for file in files}
    if len(found) != len(files):
        raise InvalidInput(f"folder: {path} has several files of one split; name them train.*, validation.* and test.*")
    return {name: found[name] for name in SPLITS if name in found}


def _split(file: Path) -> str:
    return next((name for name in SPLITS if name in file.name), "train")


def _items(file: Path) -> list[Preference]:
    report = Report()
    items = list(items_of(str(file), report))
    if report.dropped:
        lost = "; ".join(f"{rows} rows: {reason}" for (_, reason), rows in report.dropped.most_common())
        raise InvalidInput(f"rows: {file} has some that cannot be published ({lost}); take them out")
    return items
