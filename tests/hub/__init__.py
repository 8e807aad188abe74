"""A local Hugging Face Hub: a real server on the loopback interface that keeps its repositories in memory.

    with LocalHub() as hub:
        hub.api().upload_folder(repo_id="me/judge", folder_path=folder)
        subprocess.run(command, env=hub.environment(home))     # HF_* are read when the client is imported
        hub.faults.next(status=500, path="/resolve/", times=2)
        hub.files("me/judge")["config.json"]

It speaks what `huggingface_hub`, `datasets` and `transformers` use: repositories of the three types, each type with
names of its own, as on the Hub; private and gated ones; commits of regular and large files; branches, tags and pull
requests; trees in pages; ranges. It serves every file itself, never by Xet or a CDN.
"""

from __future__ import annotations

from .faults import Fault, Faults
from .server import LocalHub

__all__ = ["Fault", "Faults", "LocalHub"]
