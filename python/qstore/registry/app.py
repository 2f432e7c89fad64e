# SPDX-License-Identifier: Apache-2.0
"""The server: the Hub's HTTP API as far as clients that only read use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qstore.errors import QStoreError
from qstore.registry import hub_json
from qstore.registry.access import ENTRY, Denied, Gate, denied, failed, refuse
from qstore.registry.catalog import Catalog
from qstore.registry.content import Content, make_executor
from qstore.registry.files import Files
from qstore.registry.llama_cpp import manifest
from qstore.registry.metrics import TYPE, Metrics
from qstore.registry.page import render
from qstore.registry.records import Head, Listing
from qstore.registry.tokens import Tokens

T = TypeVar("T")

_MOST_BODY = 1 << 20
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Server:
    """Answers requests. What reads the catalog or archives runs on threads of its own, so that a
    slow answer holds up no other one."""

    def __init__(self, catalog: Catalog, content: Content, tokens: Tokens | None = None) -> None:
        self._catalog = catalog
        self._gate = Gate(tokens)
        self._lookups = make_executor("lookup", 4)
        self.metrics = Metrics(catalog.state)
        self._files = Files(content, self.metrics)

    def app(self) -> Any:
        """The ASGI application."""
        repo, api = "{org}/{name}", "/api/models/{org}/{name}"
        routes = [
            Route("/", self.page),
            Route("/health", self.health),
            Route("/metrics", self.counts),
            Route("/api/whoami-v2", self.whoami),
            Route("/api/models", self.models),
            Route(api, self.model),
            Route(f"{api}/revision/{{revision}}", self.model),
            Route(f"{api}/tree/{{revision}}", self.tree),
            Route(f"{api}/tree/{{revision}}/{{path:path}}", self.tree),
            Route(f"{api}/paths-info/{{revision}}", self.paths, methods=["POST"]),
            Route(f"{api}/refs", self.refs),
            Route(f"{api}/commits/{{revision}}", self.commits),
            Route(f"{api}/auth-check", self.may_read),
            Route(f"/v2/{repo}/manifests/{{tag}}", self.manifest),
            Route(f"/{repo}/resolve/{{revision}}/{{path:path}}", self.file),
            Route(f"/{repo}/raw/{{revision}}/{{path:path}}", self.file),
        ]
        errors: Any = {Denied: denied, QStoreError: failed, 404: _unknown_url}
        return self.metrics.counted(Starlette(routes=routes, exception_handlers=errors))

    async def page(self, request: Request) -> Response:
        scopes = self._gate.scopes(request)
        state = await self._look_up(self._catalog.state)
        return HTMLResponse(render(state, scopes), headers=_PAGE_HEADERS)

    async def health(self, _: Request) -> Response:
        await self._look_up(self._catalog.state)
        return PlainTextResponse("ok\n")

    async def counts(self, request: Request) -> Response:
        self._gate.scopes(request)
        text = await self._look_up(self.metrics.text)
        return Response(text, headers={"Content-Type": TYPE})

    async def whoami(self, request: Request) -> Response:
        scopes = self._gate.scopes(request)
        told = {"type": "user", "name": "reader", "fullname": "reader", "orgs": []}
        return JSONResponse({**told, "auth": {"accessToken": {"role": "read"}}, "scopes": scopes})

    async def models(self, request: Request) -> Response:
        scopes = self._gate.scopes(request)
        asked = request.query_params
        search, author = asked.get("search", "").lower(), asked.get("author")
        state = await self._look_up(self._catalog.state)
        told = []
        for name in sorted(filter(scopes.allow, state.repos)):
            repo = state.repos[name]
            is_of = author in (None, name.partition("/")[0])
            commit = repo.refs.get("main") or max(repo.commits)
            if is_of and search in name.lower():
                told.append(hub_json.model(name, commit, repo.commits[commit], None))
        limit = asked.get("limit", "")
        return JSONResponse(told[: int(limit)] if limit.isdecimal() else told)

    async def model(self, request: Request) -> Response:
        name, commit, head, listing = await self._found(request)
        blobs = _flag(request, "blobs")
        return JSONResponse(hub_json.model(name, commit, head, listing, blobs))

    async def tree(self, request: Request) -> Response:
        _, commit, head, listing = await self._found(request)
        folder = request.path_params.get("path", "").strip("/")
        last = hub_json.commit(commit, head) if _flag(request, "expand") else None
        told = hub_json.tree(listing, folder, _flag(request, "recursive"), last)
        if told is None:
            return refuse(404, f"{folder} does not exist", ENTRY, {"X-Repo-Commit": commit})
        return JSONResponse(told)

    async def paths(self, request: Request) -> Response:
        _, _, _, listing = await self._found(request)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BODY:
                return refuse(413, "too many paths", None)
        try:
            return JSONResponse(hub_json.paths(listing, parse_qs(body.decode()).get("paths", [])))
        except ValueError:
            return refuse(400, "want a form with paths", None)

    async def refs(self, request: Request) -> Response:
        name = self._gate.check(request, _name(request))
        state = await self._look_up(self._catalog.state)
        return JSONResponse(hub_json.refs(state.repo(name)))

    async def commits(self, request: Request) -> Response:
        _, commit, head, _ = await self._found(request)
        return JSONResponse([hub_json.commit(commit, head)])

    async def may_read(self, request: Request) -> Response:
        await self._found(request)
        return JSONResponse({})

    async def manifest(self, request: Request) -> Response:
        _, _, _, listing = await self._found(request)
        told = manifest(listing, request.path_params["tag"])
        return refuse(404, "no such GGUF file", ENTRY) if told is None else JSONResponse(told)

    async def file(self, request: Request) -> Response:
        _, commit, _, listing = await self._found(request)
        file = listing.find(request.path_params["path"])
        if file is None:
            return refuse(404, "Entry not found", ENTRY, {"X-Repo-Commit": commit})
        return await self._files.answer(request, file, commit)

    async def _found(self, request: Request) -> tuple[str, str, Head, Listing]:
        """Repository, commit and files that a request is for. Raises what Gate and Catalog do."""
        name = self._gate.check(request, _name(request))
        revision = request.path_params.get("revision")

        def look_up() -> tuple[str, Head, Listing]:
            state = self._catalog.state()
            commit = state.resolve(name, revision)
            head = state.repos[name].commits[commit]
            return commit, head, self._catalog.listing(head)

        return (name, *await self._look_up(look_up))

    async def _look_up(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._lookups, call)


def _name(request: Request) -> str:
    return f"{request.path_params['org']}/{request.path_params['name']}"


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


def _unknown_url(_: Request, __: Exception) -> Response:
    return refuse(404, "Not found", None)
