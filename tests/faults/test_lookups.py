"""Name servers that do not answer: nothing but the names that are asked for waits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fakes import Fakes, token
from waiting import until

from exporter.config import Config
from exporter.config.targets import TargetBase
from exporter.daemon.scheduler import Daemon
from exporter.lib import lookups
from exporter.model import FailureReason
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase

#: More gateways than threads of any pool.
GATEWAYS = [f"gateway-{number}" for number in range(50)]


class DeadNameServer:
    """Every lookup of a name in ``example`` waits until the test ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.over = threading.Event()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._wait)

    def _wait(self, host: Any, *rest: Any, **more: Any) -> Any:
        if b".example" not in (host if isinstance(host, bytes) else str(host).encode()):
            return self._real(host, *rest, **more)
        self.waiting += 1
        self.over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def in_the_daemons_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=lookups.Loop) as runner:
        runner.run(work())


def test_dead_name_server_stops_nothing_but_the_targets_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = DeadNameServer(monkeypatch)
    fakes = Fakes()
    targets: list[dict[str, Any]] = [{"name": "home"}]
    targets += [
        {"name": name, "source": "gateway", "url": f"http://{name}.example:18789", "timeout": "1s"} for name in GATEWAYS
    ]
    made = Config.model_validate({"targets": targets, "interval": "1h"})

    def make(target: TargetBase, context: SourceContext) -> Source:
        return build(target, context) if target.name in GATEWAYS else fakes(target, context)  # type: ignore[arg-type]  # one of Target

    async def live() -> None:
        daemon = Daemon(made, CredentialDatabase(None), lambda: made, time.time, make)
        fakes["home"].profiles = (token(time.time() + 3e6),)
        await daemon.start()
        await until(lambda: names.waiting == lookups.MAX_LOOKUPS)
        await daemon.check_now("home")
        assert 'openclaw_auth_check_success{agent="main",target="home"} 1' in daemon.exposition("", "")[0].decode()
        assert await daemon.reload() is None
        await until(lambda: len([t for t in daemon.report().targets if t.failure is not None]) == len(GATEWAYS))
        reasons = {t.failure.reason for t in daemon.report().targets if t.failure is not None}
        assert reasons <= {FailureReason.TIMEOUT, FailureReason.CONNECTION}
        assert daemon.problem() is None, "the exporter itself works"
        assert names.waiting == lookups.MAX_LOOKUPS, "no thread is started beside those that hang"
        await daemon.stop()

    in_the_daemons_loop(live)
    assert names.waiting  # the end of the loop did not wait for them
    names.over.set()


def test_lookups_go_on_when_the_name_server_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MAX_LOOKUPS", 2)
    names = DeadNameServer(monkeypatch)

    async def live() -> None:
        loop = asyncio.get_running_loop()
        waiting = [asyncio.create_task(loop.getaddrinfo("a.example", 1)) for _ in range(4)]
        await until(lambda: names.waiting == 2)
        for task in waiting[:2]:
            task.cancel()  # its thread still hangs, and counts
        await asyncio.sleep(0.05)
        assert names.waiting == 2
        names.over.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2 + [socket.gaierror] * 2
        monkeypatch.undo()
        assert await loop.getaddrinfo("127.0.0.1", 80)

    in_the_daemons_loop(live)
