# SPDX-License-Identifier: Apache-2.0
"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily

from qstore.registry.savings import total
from qstore.registry.state import State

TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Thread-safe."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_CatalogCollector(state))  # type: ignore[arg-type, unused-ignore]
        options: dict[str, Any] = {"namespace": "qstore", "registry": self._registry}
        self.requests = Counter("requests", "Requests answered.", ("route", "code"), **options)
        self.sent = Counter("sent_bytes", "Bytes of files that were sent.", **options)
        self.running = Gauge("downloads", "Files being sent now.", **options)
        self.broken = Counter("broken_downloads", "Files that were not sent to the end.", **options)

    def text(self) -> bytes:
        return bytes(generate_latest(self._registry))

    def counted(self, app: Any) -> Any:
        """The ASGI application, with its answers counted by route and code."""

        async def call(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                if message["type"] == "http.response.start":
                    endpoint = getattr(scope.get("endpoint"), "__name__", "none")
                    self.requests.labels(endpoint, str(message["status"])).inc()
                await send(message)

            await app(scope, receive, note if scope["type"] == "http" else send)

        return call


class _CatalogCollector:
    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterable[Any]:
        state = self._state()
        sums = total(state)
        commits = sum(len(repo.commits) for repo in state.repos.values())
        for name, told, value in (
            ("repositories", "Repositories in the catalog.", len(state.repos)),
            ("commits", "Commits in the catalog.", commits),
            ("archives", "Archives in the catalog.", len(state.archives)),
            ("served_bytes", "Bytes of the files of all commits.", sums.served),
            ("stored_bytes", "Bytes of the archives that commits need.", sums.stored),
        ):
            yield GaugeMetricFamily(f"qstore_{name}", told, value=value)
