"""Everything that a checkout can publish, in the order in which cards link to one another: data, models, Spaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..data.sources import FILES
from ..embedded import ADAPTER
from .models import Options, model_repo
from .repository import CARD_FILE, README, Repo
from .rows import dataset_repo
from .spaces import space_repo

CHECKOUT = Path(__file__).resolve().parent.parent.parent
Make = Callable[[str, Path], Repo]


class Part(NamedTuple):
    """One repository of the suite: its name, what it is made from, and how, into an empty folder under a Hub id."""

    name: str
    type: str
    source: Path
    make: Make


def _model(source: Path) -> Make:
    source = Path("embedded") if source == ADAPTER else source
    return lambda repo_id, out: model_repo(source, repo_id, out, Options(link=True))


def _dataset(source: Path) -> Make:
    return lambda repo_id, out: dataset_repo(source, repo_id, out, link=True)


def _space(source: Path) -> Make:
    return lambda repo_id, out: space_repo(source, repo_id, out)


def _with_cards(folder: Path, *cards: str) -> list[Path]:
    return sorted({path.parent for card in cards for path in folder.glob(f"*/{card}")})


def _is_dataset(folder: Path) -> bool:
    return (folder / "data").is_dir() or any(file.name.endswith(FILES) for file in folder.iterdir())


def parts(checkout: Path = CHECKOUT) -> list[Part]:
    """What there is, under the folders' own names.

    In `recipes/artifacts` a folder with rows and a card is a dataset; a `card.yaml` beside an adapter, there or in the
    package's `adapters`, makes a model of it; a folder with a card in `spaces` is a Space.
    """
    artifacts = checkout / "recipes" / "artifacts"
    datasets = [path for path in _with_cards(artifacts, CARD_FILE, README) if _is_dataset(path)]
    models = [*_with_cards(ADAPTER.parent, CARD_FILE), *_with_cards(artifacts, CARD_FILE)]
    spaces = _with_cards(checkout / "spaces", CARD_FILE, README)
    return [
        *(Part(path.name, "dataset", path, _dataset(path)) for path in datasets),
        *(Part(path.name, "model", path, _model(path)) for path in models if path not in datasets),
        *(Part(path.name, "space", path, _space(path)) for path in spaces),
    ]
