"""The store source against stores that real OpenClaw releases created, also while OpenClaw writes them."""

from __future__ import annotations

import hmac
import subprocess
import time

import pytest

from exporter.model import Unusable
from exporter.sources.openclaw.status import extract_json, observe
from exporter.sources.store.complete import complete
from exporter.sources.store.paths import StorePaths
from exporter.sources.store.reader import StoreReader

from .conftest import MakeHome
from .parts import COMMAND_TIMEOUT, CURRENT, RELEASES, OpenClawHome

pytestmark = pytest.mark.real

DAY_MS = 86_400_000


def keyed_hash(text: str) -> str:
    return hmac.new(b"key", text.encode(), "sha256").hexdigest()


def fill(world: OpenClawHome) -> None:
    """Write profiles of every kind, some of them failing."""
    now = int(time.time() * 1000)
    token = {"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-" + "A" * 80}
    login = {"type": "oauth", "provider": "openai", "access": "a" * 60, "expires": now - DAY_MS}
    world.write_store(
        {
            "anthropic:default": {**token, "expires": now + 30 * DAY_MS},
            "anthropic:old": {**token, "expires": now - DAY_MS},
            "openai:me": {**login, "refresh": "r" * 60},
            "openai:stale": login,
            "google:key": {"type": "api_key", "provider": "google", "key": "k" * 40},
        },
        {
            "anthropic:default": {"cooldownUntil": now + DAY_MS, "cooldownReason": "rate_limit", "lastUsed": now},
            "anthropic:old": {"disabledUntil": now + DAY_MS, "disabledReason": "billing", "errorCount": 3},
            "google:key": {"cooldownUntil": now - DAY_MS},
        },
        {"anthropic": ["anthropic:old", "anthropic:default"]},
    )


@pytest.mark.parametrize("release", RELEASES)
def test_the_store_agrees_with_the_command(openclaw: MakeHome, release: str) -> None:
    world = openclaw(release)
    fill(world)
    world.add_agent("work")

    for agent in ("main", "work"):
        # 2026.2.9 prints before the JSON that it copied main's profiles.
        finished = world.run("models", "status", "--json", "--check", "--agent", agent, check=False)
        payload = extract_json(finished.stdout.encode())
        seen = observe(payload, target="home", agent=agent, observed_at=time.time(), exit_code=finished.returncode)
        paths = StorePaths.from_status(payload)
        assert paths == StorePaths.from_environment(world.env, None, agent)

        facts = StoreReader(keyed_hash).read(paths, agent)

        stored = {profile.id: profile for profile in facts.profiles}
        assert stored.keys() == {profile.id for profile in seen.profiles}
        assert facts.providers_in_use == seen.providers_in_use
        assert facts.order["anthropic"] == ("anthropic:old", "anthropic:default")
        for profile in seen.profiles:
            mine = stored[profile.id]
            assert (mine.provider, mine.kind) == (profile.provider, profile.kind)
            assert profile.expires_at in (None, mine.expires_at)
            assert _when(mine.unusable) == _when(profile.unusable)
            assert mine.has_refresh_token == (profile.id == "openai:me")
        done = {profile.id: profile for profile in complete(seen, facts).profiles}
        assert done["anthropic:old"].expires_at == stored["anthropic:old"].expires_at
        assert done["anthropic:default"].unusable == stored["anthropic:default"].unusable


def _when(unusable: Unusable | None) -> tuple[str, float | None] | None:
    return (unusable.kind, unusable.until) if unusable else None


def test_reading_while_openclaw_works(openclaw: MakeHome) -> None:
    world = openclaw(CURRENT)
    fill(world)
    world.set_order("anthropic:default", "anthropic:old")
    paths = StorePaths.from_environment(world.env, None, "main")
    reader = StoreReader(keyed_hash)
    before, prints = reader.read(paths, "main"), reader.fingerprint([paths])
    reads = 0

    for _ in range(2):
        arguments = [str(world.command), "models", "status", "--json"]
        with subprocess.Popen(arguments, env=world.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            ends = time.monotonic() + COMMAND_TIMEOUT
            while process.poll() is None and time.monotonic() < ends:
                assert reader.read(paths, "main").profiles == before.profiles
                assert reader.fingerprint([paths]) == prints
                reads += 1
                time.sleep(0.02)
            process.kill()
        assert process.returncode == 0, process.stderr

    assert reads > 10
    world.paste_token("anthropic:default", "90d", token="sk-ant-oat01-" + "B" * 80)
    assert reader.fingerprint([paths]) != prints
