"""The gateway source against a real OpenClaw gateway that starts, restarts, is killed and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
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
from .gateway import READY_WITHIN, TOKEN, Gateway

pytestmark = pytest.mark.real

DAY_MS = 86400 * 1000


def source_of(gateway: Gateway, **config: Any) -> GatewaySource:
    target = GatewayTarget(**{"source": "gateway", "url": gateway.url, "token": TOKEN, "timeout": "30s", **config})
    return GatewaySource(target, context(gateway.world))


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
    async with open_source(source_of(gateway)) as source:
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
    async with open_source(source_of(gateway, state_dir=str(world.state), usage=True)) as source:
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

    async with open_source(source_of(gateway)) as source:
        blind = await source.check("main")
    assert blind.blind_to == {"unusable", "uses"}
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

    assert await reason_of(source_of(gateway, token="PLANTED-SECRET-wrong-0123456789")) is FailureReason.UNAUTHORIZED
    assert await reason_of(source_of(gateway, token=None)) is FailureReason.UNAUTHORIZED
    assert await reason_of(source_of(gateway), "nobody") is FailureReason.UNKNOWN_AGENT
    async with open_source(source_of(gateway, token=None, token_file=str(tmp_path / "token"))) as source:
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
        reasons.append(await reason_of(source_of(gateway)))
        await asyncio.sleep(0.2)
    assert set(reasons) <= {FailureReason.CONNECTION, FailureReason.NOT_READY, FailureReason.NOT_ENABLED}
