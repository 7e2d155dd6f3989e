"""The gateway source against a real OpenClaw gateway that starts, restarts, is killed and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from captured import verdict

from exporter.config import GatewayTarget, OpenClawTarget, StoreTarget
from exporter.model import CheckError, FailureReason, Observation
from exporter.sources import SourceContext
from exporter.sources.gateway.source import GatewaySource
from exporter.sources.openclaw.source import OpenClawSource
from exporter.sources.store.source import StoreSource

from . import parts
from .conftest import MakeHome

pytestmark = pytest.mark.real

TOKEN = "PLANTED-SECRET-gateway-0123456789abcdef"
#: Seconds from the start of a gateway to its first full answer; 20 on an idle machine.
READY_WITHIN = 180.0
DAY_MS = 86400 * 1000


class Gateway:
    """A real gateway in a private home, which a test starts and ends as often as it needs."""

    def __init__(self, world: parts.OpenClawHome) -> None:
        self.world = world
        self.port = parts.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = world.home / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        world.run("plugins", "enable", "admin-http-rpc")
        for name, value in (("mode", "local"), ("auth.mode", "token"), ("auth.token", TOKEN)):
            world.run("config", "set", f"gateway.{name}", value)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.world.command, "gateway", "run", "--port", str(self.port), "--bind", "loopback"],
                env={**self.world.env, "OPENCLAW_SKIP_CHANNELS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, number: signal.Signals) -> None:
        """Send the signal and wait until no process of the gateway is left."""
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for left in parts.processes_of(self.world.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        self._process = None

    def source(self, **config: Any) -> GatewaySource:
        target = GatewayTarget(**{"source": "gateway", "url": self.url, "token": TOKEN, "timeout": "30s", **config})
        return GatewaySource(target, context(self.world))


def context(world: parts.OpenClawHome) -> SourceContext:
    return SourceContext(keyed_hash=lambda text: f"hash{len(text)}", environ=world.env)


@pytest.fixture
def gateway(openclaw: MakeHome) -> Iterator[Gateway]:
    world = openclaw(parts.CURRENT)
    world.paste_token("anthropic:default", "90d", token=parts.TOKEN_PREFIX + "PLANTED-SECRET" * 6)
    made = Gateway(world)
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)


@contextlib.asynccontextmanager
async def open_source(source: GatewaySource) -> AsyncIterator[GatewaySource]:
    try:
        yield source
    finally:
        await source.aclose()


async def reason_of(source: GatewaySource, agent: str = "main") -> FailureReason:
    async with open_source(source):
        with pytest.raises(CheckError) as caught:
            await source.check(agent)
    assert "PLANTED-SECRET" not in str(caught.value)
    return caught.value.reason


class Watch:
    """Checks every 200 ms and keeps every result: an Observation or a failure reason."""

    def __init__(self, source: GatewaySource) -> None:
        self._source = source
        self.answers: list[Observation | FailureReason] = []

    async def once(self) -> Observation | FailureReason:
        answer: Observation | CheckError
        try:
            agents = await self._source.agents()
            assert agents == ["main"]
            answer = await self._source.check(agents[0])
        except CheckError as error:
            answer = error
        assert "PLANTED-SECRET" not in f"{answer!r}{answer}"
        self.answers.append(answer if isinstance(answer, Observation) else answer.reason)
        await asyncio.sleep(0.2)
        return self.answers[-1]

    async def until_seen(self) -> list[Observation | FailureReason]:
        """Check until the first success; return the results before it."""
        first, ends = len(self.answers), time.monotonic() + READY_WITHIN
        while not isinstance(await self.once(), Observation):
            assert time.monotonic() < ends, f"never ready: {self.answers[-1]}"
        return self.answers[first:-1]

    async def times(self, count: int) -> list[Observation | FailureReason]:
        return [await self.once() for _ in range(count)]


async def test_no_wrong_result_while_a_gateway_starts_restarts_and_is_killed(gateway: Gateway) -> None:
    expires_at = gateway.world.stored_profiles()["anthropic:default"]["expires"] / 1000
    async with open_source(gateway.source()) as source:
        watch = Watch(source)
        assert set(await watch.times(3)) == {FailureReason.CONNECTION}
        gateway.start()
        assert set(await watch.until_seen()) <= {FailureReason.CONNECTION, FailureReason.NOT_READY}
        assert all(isinstance(answer, Observation) for answer in await watch.times(10))
        ending = asyncio.create_task(asyncio.to_thread(gateway.end, signal.SIGTERM))
        while not ending.done():
            await watch.once()
        await ending
        assert set(await watch.times(3)) == {FailureReason.CONNECTION}
        gateway.start()
        assert set(await watch.until_seen()) <= {FailureReason.CONNECTION, FailureReason.NOT_READY}
        assert all(isinstance(answer, Observation) for answer in await watch.times(10))
        gateway.end(signal.SIGKILL)
        assert set(await watch.times(3)) == {FailureReason.CONNECTION}
    seen = [answer for answer in watch.answers if isinstance(answer, Observation)]
    assert {answer for answer in watch.answers if isinstance(answer, FailureReason)} <= {
        FailureReason.CONNECTION,
        FailureReason.NOT_READY,
    }
    for observation in seen:
        assert [(p.id, p.provider, p.kind, p.status, p.expires_at) for p in observation.profiles] == [
            ("anthropic:default", "anthropic", "token", "ok", expires_at)
        ]
        assert observation.providers_in_use == ("anthropic",)
        assert observation.openclaw_version == parts.CURRENT
        assert verdict(observation).exit_code == 0


async def test_refusals_and_the_same_verdict_as_the_command_and_the_store(gateway: Gateway, tmp_path: Path) -> None:
    world = gateway.world
    world.run("models", "fallbacks", "add", "openrouter/foo/bar")
    now = int(time.time() * 1000)
    secret = parts.TOKEN_PREFIX + "PLANTED-SECRET" * 6
    world.write_store(
        {
            "anthropic:default": {
                "type": "token",
                "provider": "anthropic",
                "token": secret,
                "expires": now + 90 * DAY_MS,
            },
            "anthropic:work": {
                "type": "token",
                "provider": "anthropic",
                "token": secret,
                "expires": now + DAY_MS // 2,
            },
            "openrouter:key": {"type": "api_key", "provider": "openrouter", "key": "PLANTED-SECRET-key"},
        },
        usage={"anthropic:default": {"disabledUntil": now + DAY_MS, "disabledReason": "billing"}},
        order={"anthropic": ["anthropic:default", "anthropic:work"]},
    )
    gateway.start()
    async with open_source(gateway.source(state_dir=str(world.state), usage=True)) as source:
        watch = Watch(source)
        await watch.until_seen()
        seen = watch.answers[-1]
        assert isinstance(seen, Observation)
    assert "PLANTED-SECRET" not in repr(seen)
    assert seen.providers_in_use == ("anthropic", "openrouter")
    assert seen.order["anthropic"] == ("anthropic:default", "anthropic:work")
    assert seen.usage_error  # a test has no network to reach a provider
    unusable = {p.id: p.unusable.reason for p in seen.profiles if p.unusable}
    assert unusable == {"anthropic:default": "billing"}

    async with open_source(gateway.source()) as source:
        blind = await source.check("main")
    assert blind.blind_to == {"unusable"}
    assert not any(p.unusable for p in blind.profiles)

    command = OpenClawSource(OpenClawTarget(source="openclaw", command=[str(world.command)]), context(world))
    store = StoreSource(StoreTarget(source="store", state_dir=str(world.state)), context(world))
    others = [await command.check("main"), await store.check("main")]
    conditions = [
        {(c.name, c.severity, c.profile) for c in verdict(observation).conditions if c.severity != "info"}
        for observation in (seen, *others)
    ]
    assert conditions[0] == conditions[1] == conditions[2]
    assert {name for name, _, _ in conditions[0]} == {"unusable", "expiring"}

    assert await reason_of(gateway.source(token="PLANTED-SECRET-wrong-0123456789")) is FailureReason.UNAUTHORIZED
    assert await reason_of(gateway.source(token=None)) is FailureReason.UNAUTHORIZED
    assert await reason_of(gateway.source(), "nobody") is FailureReason.UNKNOWN_AGENT
    async with open_source(gateway.source(token=None, token_file=str(tmp_path / "token"))) as source:
        (tmp_path / "token").write_text("PLANTED-SECRET-old-token\n")
        with pytest.raises(CheckError) as caught:
            await source.check("main")
        assert caught.value.reason is FailureReason.UNAUTHORIZED
        (tmp_path / "token").write_text(TOKEN + "\n")
        assert (await source.check("main")).profiles

    gateway.end(signal.SIGTERM)
    world.run("plugins", "disable", "admin-http-rpc")
    gateway.start()
    reasons: list[FailureReason] = []
    ends = time.monotonic() + READY_WITHIN
    while not reasons or reasons[-1] is not FailureReason.NOT_ENABLED:
        assert time.monotonic() < ends, f"never up: {reasons[-1]}"
        reasons.append(await reason_of(gateway.source()))
        await asyncio.sleep(0.2)
    assert set(reasons) <= {FailureReason.CONNECTION, FailureReason.NOT_READY, FailureReason.NOT_ENABLED}
