"""What goes to the Hub: a folder is made, checked in a fresh process, and uploaded in one commit.

    repo = model_repo(Path("runs/mine"), "org/my-grm", out)
    check(repo)
    upload(repo)

Each kind has a file that says what its repository holds; `checks` and `uploading` serve them all.
"""

from __future__ import annotations
