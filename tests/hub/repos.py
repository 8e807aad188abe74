"""Routes about repositories as a whole: made, looked at, changed, deleted; who asks; cards; Spaces."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import asking, saying
from .accounts import check_named, check_write
from .asking import said
from .refusals import Refusal
from .storage import Repo

HERE = "/api/{kinds}/{namespace}/{name}"


async def create(request: Request) -> Response:
    asked = await said(request)
    account = asking.account(request)
    namespace = asked.get("organization") or (account.name if account else "")
    check_write(account, namespace)
    repo = Repo(asked.get("type", "model"), f"{namespace}/{asked['name']}", _is_private(asked), asked=asked)
    repo.secrets, repo.variables = (
        {one["key"]: one for one in asked.get(group, [])} for group in ("secrets", "variables")
    )
    page = {"url": asking.url(request, repo), "name": repo.name, "id": repo.name}
    try:
        asking.storage(request).create(repo)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.message, body=page) from refusal
    return JSONResponse(page)


def _is_private(asked: dict[str, Any]) -> bool:
    return bool(asked.get("private")) or asked.get("visibility") == "private"


async def delete(request: Request) -> Response:
    asked, account, held = await said(request), asking.account(request), asking.storage(request)
    kind = asked.get("type") or "model"
    namespace = asked.get("organization") or (account.name if account else "")
    repo = check_named(account, held.repos.get((kind, f"{namespace}/{asked['name']}")))
    check_write(account, namespace)
    del held.repos[kind, repo.name]
    return Response("OK")


async def settings(request: Request) -> Response:
    repo, asked = asking.own_repo(request), await said(request)
    repo.gated = asked.get("gated", repo.gated)
    repo.private = _is_private(asked) if {"private", "visibility"} & set(asked) else repo.private
    return JSONResponse({"private": repo.private, "gated": repo.gated})


async def grant(request: Request) -> Response:
    repo, asked = asking.own_repo(request), await said(request)
    repo.granted.add(asked["user"])
    return JSONResponse({})


async def info(request: Request) -> Response:
    repo = asking.repo(request)
    return JSONResponse(saying.info(repo, asking.commit(request, repo)))


async def listing(request: Request) -> Response:
    kind, query = asking.kind(request), request.query_params
    mine = getattr(asking.account(request), "namespaces", ())
    held = [repo for repo in asking.storage(request).repos.values() if repo.kind == kind]
    seen = [saying.info(repo, repo.commit("main")) for repo in held if not repo.private or repo.namespace in mine]
    seen = [
        one
        for one in seen
        if query.get("author", one["author"]) == one["author"] and query.get("search", "") in one["id"]
    ]
    wanted = set(query.getlist("filter"))
    return JSONResponse([one for one in seen if wanted <= {*one["tags"], one.get("pipeline_tag")}])


async def may_read(request: Request) -> Response:
    asking.files_of(request)
    return JSONResponse({})


async def may_write(request: Request) -> Response:
    asking.own_repo(request)
    return JSONResponse({})


async def whoami(request: Request) -> Response:
    account = asking.account(request)
    if account is None:
        raise Refusal("InvalidToken", "Invalid username or password.")
    token = {"displayName": "test", "role": account.role}
    organisations = [{"type": "org", "name": name} for name in account.organisations]
    return JSONResponse(
        {"type": "user", "id": "0", "name": account.name, "fullname": account.name, "isPro": True,
         "orgs": organisations, "auth": {"type": "access_token", "accessToken": token}}
    )  # fmt: skip


async def validate_yaml(request: Request) -> Response:
    asked = await said(request)
    faults = [{"message": fault} for fault in saying.card_faults(asked["content"], asked.get("repoType") or "model")]
    return JSONResponse({"warnings": [], "errors": faults}, 400 if faults else 200)


async def refs(request: Request) -> Response:
    return JSONResponse(saying.refs(asking.repo(request)))


async def commits(request: Request) -> Response:
    repo = asking.repo(request)
    return JSONResponse(saying.log(asking.commit(request, repo)))


async def branch(request: Request) -> Response:
    repo, asked, name = asking.own_repo(request), await said(request), request.path_params["revision"]
    if name in repo.branches:
        raise Refusal("Conflict", "Reference already exists")
    repo.put(name, repo.commit(asked.get("startingPoint") or "main"))
    return JSONResponse({})


async def tag(request: Request) -> Response:
    repo, asked = asking.own_repo(request), await said(request)
    if asked["tag"] in repo.tags:
        raise Refusal("Conflict", "Tag reference exists already")
    repo.tags[asked["tag"]] = asking.commit(request, repo)
    return JSONResponse({})


def _group(request: Request) -> str:
    """The part of the path behind the repository's name."""
    return request.url.path.split("/")[5]


async def delete_ref(request: Request) -> Response:
    repo, name = asking.own_repo(request), request.path_params["revision"]
    group: dict[str, Any] = repo.tags if _group(request) == "tag" else repo.branches
    if group.pop(name, None) is None:
        raise Refusal("RevisionNotFound", f"Invalid rev id: {name}")
    return JSONResponse({})


async def runtime(request: Request) -> Response:
    return JSONResponse(saying.runtime(asking.repo(request)))


async def hardware(request: Request) -> Response:
    repo, asked = asking.own_repo(request), await said(request)
    repo.asked["hardware"] = asked["flavor"]
    return JSONResponse(saying.runtime(repo))


async def settings_of_a_space(request: Request) -> Response:
    """Secrets cannot be read back, only their names."""
    group, writes = _group(request), request.method != "GET"
    repo = (asking.own_repo if writes or group == "secrets" else asking.repo)(request)
    held: dict[str, Any] = getattr(repo, group)
    asked = await said(request) if writes else {}
    if request.method == "POST":
        held[asked["key"]] = asked
    elif request.method == "DELETE":
        held.pop(asked["key"], None)
    hidden = {"value"} if group == "secrets" else set()
    return JSONResponse({key: {n: v for n, v in one.items() if n not in hidden} for key, one in held.items()})


ROUTES = [
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route("/api/whoami-v2", whoami),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route(f"{HERE}/settings", settings, methods=["PUT"]),
    Route(f"{HERE}/user-access-request/grant", grant, methods=["POST"]),
    Route(f"{HERE}/auth-check", may_read),
    Route(f"{HERE}/auth-check/write", may_write),
    Route(f"{HERE}/revision/{{revision:revision}}", info),
    Route(f"{HERE}/refs", refs),
    Route(f"{HERE}/commits/{{revision:revision}}", commits),
    Route(f"{HERE}/branch/{{revision:revision}}", branch, methods=["POST"]),
    Route(f"{HERE}/tag/{{revision:revision}}", tag, methods=["POST"]),
    Route(f"{HERE}/branch/{{revision:revision}}", delete_ref, methods=["DELETE"]),
    Route(f"{HERE}/tag/{{revision:revision}}", delete_ref, methods=["DELETE"]),
    Route(f"{HERE}/runtime", runtime),
    Route(f"{HERE}/hardware", hardware, methods=["POST"]),
    Route(f"{HERE}/secrets", settings_of_a_space, methods=["GET", "POST", "DELETE"]),
    Route(f"{HERE}/variables", settings_of_a_space, methods=["GET", "POST", "DELETE"]),
    Route(HERE, info),
    Route("/api/{kinds}", listing),
]
