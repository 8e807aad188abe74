"""Routes about files: sent, committed, listed, and read in ranges."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import asking, saying
from .asking import is_true, said
from .refusals import Refusal
from .repos import HERE
from .storage import Commit, File, Repo, Storage

LARGE = (".safetensors", ".bin", ".pt", ".parquet", ".arrow", ".gguf", ".gz", ".zip", ".png", ".model")
LARGE_BYTES = 10 << 20


async def preupload(request: Request) -> Response:
    """Says of each file how it is to be sent, and what stands there now."""
    repo, asked = asking.own_repo(request), await said(request)
    there = asking.commit(request, repo).files
    return JSONResponse({"files": [_advice(one, there.get(one["path"])) for one in asked["files"]]})


def _advice(asked: dict[str, Any], there: File | None) -> dict[str, Any]:
    large = asked["path"].lower().endswith(LARGE) or asked.get("size", 0) >= LARGE_BYTES
    oid = there.etag if there else None
    return {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}


async def large_batch(request: Request) -> Response:
    """Where to send large files; those that are here need not be sent again."""
    repo, asked, held = asking.own_repo(request), await said(request), asking.storage(request)
    where = f"{str(request.base_url).rstrip('/')}/large/{repo.name}"
    objects = [
        {"oid": one["oid"], "size": one["size"]}
        | ({} if one["oid"] in held.blobs else {"actions": {"upload": {"href": f"{where}/{one['oid']}", "header": {}}}})
        for one in asked["objects"]
    ]
    return JSONResponse({"transfer": "basic", "objects": objects})


async def large_put(request: Request) -> Response:
    """A large file; its address is all the permission it needs, as with a signed one."""
    file = File(await request.body(), large=True)
    if file.sha256 != request.path_params["oid"]:
        raise Refusal("BadRequest", "the content does not have the hash that it was announced with")
    asking.storage(request).blobs[file.sha256] = file.content
    return Response("")


def _put(files: dict[str, File], value: dict[str, Any], held: Storage) -> None:
    files[value["path"]] = File(base64.b64decode(value["content"]))


def _put_large(files: dict[str, File], value: dict[str, Any], held: Storage) -> None:
    files[value["path"]] = held.blob(value["oid"])


def _delete(files: dict[str, File], value: dict[str, Any], held: Storage) -> None:
    if files.pop(value["path"], None) is None:
        raise Refusal("EntryNotFound", "A file with this name doesn't exist")


def _delete_folder(files: dict[str, File], value: dict[str, Any], held: Storage) -> None:
    for path in [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]:
        del files[path]


OPERATIONS: dict[str, Callable[[dict[str, File], dict[str, Any], Storage], None]] = {
    "file": _put,
    "lfsFile": _put_large,
    "deletedFile": _delete,
    "deletedFolder": _delete_folder,
}


async def commit(request: Request) -> Response:
    """All of a commit's operations, or none."""
    repo, branch = asking.own_repo(request), request.path_params["revision"]
    lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    parent = repo.branch(branch)
    if header.get("parentCommit") not in (None, parent.sha):
        raise Refusal("CommitConflict", "A commit has happened since. Please refresh and try again.")
    files = dict(parent.files)
    for line in lines:
        if line["key"] != "header":
            OPERATIONS[line["key"]](files, line["value"], asking.storage(request))
    _check_card(repo, files)
    made = Commit.of(files, header["summary"], parent)
    pull = is_true(request.query_params.get("create_pr"))
    repo.put(_next_pull(repo) if pull else branch, made)
    answer = {"success": True, "commitOid": made.sha, "commitUrl": asking.url(request, repo, "commit", made.sha)}
    return JSONResponse(answer | ({"pullRequestUrl": asking.url(request, repo, "discussions", "1")} if pull else {}))


def _check_card(repo: Repo, files: dict[str, File]) -> None:
    card = files.get("README.md", File(b"")).content.decode("utf-8", "replace")
    faults = saying.card_faults(card, repo.kind)
    if faults:
        raise Refusal("BadRequest", f"Invalid metadata in README.md: {'; '.join(faults)}")


def _next_pull(repo: Repo) -> str:
    return f"refs/pr/{1 + sum(name.startswith('refs/pr/') for name in repo.branches)}"


async def tree(request: Request) -> Response:
    """A folder's entries, or a file's own; in pages of `app.state.page` entries."""
    repo = asking.repo(request)
    at, folder = asking.commit(request, repo), request.path_params.get("path", "").strip("/")
    wide = at if is_true(request.query_params.get("expand")) else None
    if folder in at.files:
        return JSONResponse([saying.entry(folder, at.files[folder], wide)])
    deep = is_true(request.query_params.get("recursive"))
    entries = [
        saying.entry(path, at.files[path], wide) if path in at.files else saying.folder(path)
        for path in sorted({*at.files, *saying.folders(at.files)})
        if _is_in(path, folder, deep)
    ]
    if folder and not entries:
        raise _no_entry(folder, at)
    return _page(request, entries)


def _is_in(path: str, folder: str, deep: bool) -> bool:
    rest = path.removeprefix(f"{folder}/") if folder else path
    return (rest != path or not folder) and (deep or "/" not in rest)


def _no_entry(path: str, at: Commit) -> Refusal:
    return Refusal("EntryNotFound", f"{path} does not exist on {at.sha}", headers={"X-Repo-Commit": at.sha})


def _page(request: Request, entries: list[dict[str, Any]]) -> Response:
    start, size = int(request.query_params.get("cursor", 0)), request.app.state.page
    later = str(request.url.include_query_params(cursor=start + size)).replace(asking.SLASH, "%2F")
    headers = {"Link": f'<{later}>; rel="next"'} if start + size < len(entries) else {}
    return JSONResponse(entries[start : start + size], headers=headers)


async def paths_info(request: Request) -> Response:
    """The entries of these paths; those that are not there are left out."""
    repo, asked = asking.repo(request), await said(request)
    at = asking.commit(request, repo)
    wide, folders = at if is_true(asked.get("expand")) else None, saying.folders(at.files)
    found = [saying.entry(path, at.files[path], wide) for path in asked["paths"] if path in at.files]
    return JSONResponse(found + [saying.folder(path) for path in asked["paths"] if path in folders])


async def read(request: Request) -> Response:
    """A file, whole or a range of it."""
    repo, path = asking.files_of(request), request.path_params["path"]
    at = asking.commit(request, repo)
    if path not in at.files:
        raise _no_entry(path, at)
    file = at.files[path]
    headers = {"X-Repo-Commit": at.sha, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    if file.large:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
    return _ranged(file.content, headers, request.headers.get("range", ""))


def _ranged(content: bytes, headers: dict[str, str], asked: str) -> Response:
    if not asked.startswith("bytes="):
        return Response(content, headers=headers, media_type="application/octet-stream")
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last) + 1 if last and first else len(content), len(content))
    if start >= len(content):
        raise Refusal("BadRange", "Range not satisfiable", headers={"Content-Range": f"bytes */{len(content)}"})
    headers |= {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
    return Response(content[start:end], 206, headers=headers, media_type="application/octet-stream")


FILE = "{namespace}/{name}/resolve/{revision:revision}/{path:path}"
BATCH = "{namespace}/{name}.git/info/lfs/objects/batch"
ROUTES = [
    Route(f"{HERE}/preupload/{{revision:revision}}", preupload, methods=["POST"]),
    Route(f"{HERE}/commit/{{revision:revision}}", commit, methods=["POST"]),
    Route(f"{HERE}/tree/{{revision:revision}}", tree),
    Route(f"{HERE}/tree/{{revision:revision}}/{{path:path}}", tree),
    Route(f"{HERE}/paths-info/{{revision:revision}}", paths_info, methods=["POST"]),
    Route("/large/{namespace}/{name}/{oid}", large_put, methods=["PUT"]),
    Route(f"/{BATCH}", large_batch, methods=["POST"]),
    Route(f"/{{kinds}}/{BATCH}", large_batch, methods=["POST"]),
    Route(f"/{FILE}", read),
    Route(f"/{{kinds}}/{FILE}", read),
]
