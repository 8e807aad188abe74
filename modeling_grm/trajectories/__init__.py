"""Every sampled judgement, kept: a folder of Parquet shards that makes runs resumable and votes re-computable.

    settings = Settings.of(config, model="org/model", backend="transformers")
    with Store(folder, settings) as store:
        for row in rows:                          # just before its prompts are made
            store.register(row.request, id=row.id, labels=row.labels, best=row.best)
        results = score(requests, store.recording(generate), config)
    for batch in read(folder, ["item", "sample", "scores"]): ...
    without_texts(folder, "copy")                 # hashes, scores and labels only, where the rows may not be shared
    push_to_hub(folder, "org/name")               # a dataset; folder_of("hf://datasets/org/name") fetches it

Needs pyarrow; an import without it ends with the pip line.
"""

from __future__ import annotations

from .hub import folder_of, push_to_hub
from .meta import write_meta
from .reading import canonical, read, settings_in
from .schema import COLUMNS, Settings, content_hash
from .shards import UnwritableStore
from .sharing import without_texts
from .store import Store

__all__ = [
    "COLUMNS",
    "Settings",
    "Store",
    "UnwritableStore",
    "canonical",
    "content_hash",
    "folder_of",
    "push_to_hub",
    "read",
    "settings_in",
    "without_texts",
    "write_meta",
]
