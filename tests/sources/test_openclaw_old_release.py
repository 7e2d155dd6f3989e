"""The openclaw source against a release before 2026.1.30, which has no ``--agent``: here, in a container, over ssh."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captured import capture

from exporter.config import OpenClawTarget
from exporter.model import CheckError, Dialect, FailureReason
from exporter.sources import InMemorySourceCache, SourceContext, build
from exporter.sources.openclaw.source import OpenClawSource

DAY = 86400.0
#: Reports on the agent whose folder is in the environment, as 2026.1.29 does, and logs how it was called.
OLD = """#!/bin/sh
echo "$* AGENT_DIR=$OPENCLAW_AGENT_DIR$CLAWDBOT_AGENT_DIR" >>{here}/log
case "$*" in
  --version) echo {version};;
  "agents list"*) cat {here}/agents.json;;
  *--agent*) echo "error: unknown option '--agent'" >&2; exit 1;;
  *) case "$OPENCLAW_AGENT_DIR" in
       *agents/work/agent) cat {here}/work.json; exit 1;;
       *) cat {here}/main.json; exit 2;;
     esac;;
esac
"""
NEW = """#!/bin/sh
echo "$* AGENT_DIR=$OPENCLAW_AGENT_DIR" >>{here}/log
case "$*" in
  --version) echo 2026.9.6;;
  *--agent*) cat {here}/new.json;;
  *) echo "Multiple agents are configured" >&2; exit 1;;
esac
"""
DOCKER = '#!/bin/sh\n[ "$1 $2" = "exec gw" ] && shift 2 && exec "$@"\n'
#: ``ssh … -- destination REMOTE``: runs REMOTE in a shell of its own.
SSH = '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n'


class OldHost:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.now, self.cache = folder, 1_800_000_000.0, InMemorySourceCache(lambda: self.now)
        (folder / "bin").mkdir()
        self.program("ssh", SSH)
        self.program("docker", DOCKER)
        self.install(OLD, "2026.1.29")
        self.answers("main", "token_expiring_12h")
        self.answers("work", "token_expired")
        agents = [
            {"id": "work", "agentDir": f"{folder}/agents/work/agent", "model": "openai/gpt-5"},
            {"id": "idle", "agentDir": f"{folder}/agents/idle/agent"},
            {"id": "lost"},
            {"id": "main", "isDefault": True, "agentDir": f"{folder}/agents/main/agent"},
        ]
        (folder / "agents.json").write_text(json.dumps(agents))
        own = folder / "agents" / "work" / "agent"
        own.mkdir(parents=True)
        (own / "auth-profiles.json").write_text("{}")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))

    def program(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(body)
        path.chmod(0o755)

    def install(self, body: str, version: str, name: str = "openclaw") -> None:
        self.program(name, body.format(here=self.folder, version=version))

    def answers(self, agent: str, scenario: str, release: str = "2026.1.29") -> None:
        (self.folder / f"{agent}.json").write_text(capture(f"openclaw-{release}", scenario)["stdout"])

    def source(self, **config: Any) -> OpenClawSource:
        environ = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "HOME": str(self.folder)}
        context = SourceContext(lambda text: f"{hash(text):x}", self.cache, now=lambda: self.now, environ=environ)
        source = build(OpenClawTarget(source="openclaw", **{"name": "t", **config}), context)
        assert isinstance(source, OpenClawSource)
        return source

    def calls(self) -> list[str]:
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldHost:
    return OldHost(tmp_path, monkeypatch)


WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "here": lambda: {},
    "container": lambda: {"command": ["docker", "exec", "gw", "openclaw"]},
    "ssh": lambda: {"ssh": "me@vps"},
}
MAIN = "models status --json --check AGENT_DIR="


@pytest.mark.parametrize("way", WAYS)
async def test_release_without_the_option_is_asked_without_it_and_that_is_remembered(host: OldHost, way: str) -> None:
    source = host.source(**WAYS[way]())
    seen = await source.check("main")
    assert (seen.openclaw_exit_code, seen.dialect, seen.openclaw_version) == (2, Dialect.DATES, "2026.1.29")
    assert len(host.calls()) == 3  # with --agent, without it, and --version
    await source.check("main")
    assert host.calls() == [MAIN]
    host.now += 0.9 * DAY
    await host.source(**WAYS[way]()).check("main")
    assert host.calls() == [MAIN]
    await source.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_another_agent_is_reached_by_its_folder(host: OldHost, way: str) -> None:
    source = host.source(**WAYS[way]())
    seen = await source.check("work")
    assert seen.openclaw_exit_code == 1
    assert [profile.status for profile in seen.profiles] == ["expired"]
    assert [use.model for use in seen.uses if use.purpose.is_chat] == ["openai/gpt-5"]  # not that of the defaults
    folder = f"{host.folder}/agents/work/agent"
    assert f"{MAIN}{folder}{folder}" in host.calls()
    await source.check("work")
    assert host.calls() == [f"{MAIN}{folder}{folder}"]
    # One without a store has that of main, and its folder is not touched.
    assert (await source.check("idle")).openclaw_exit_code == 2
    assert host.calls() == [MAIN]
    assert not (host.folder / "agents" / "idle").exists()
    with pytest.raises(CheckError) as caught:
        await source.check("nope")
    assert caught.value.reason is FailureReason.UNKNOWN_AGENT
    await source.aclose()


async def test_agent_whose_folder_cannot_be_passed_says_what_to_do(host: OldHost) -> None:
    shutil.copy(host.folder / "bin" / "openclaw", host.folder / "bin" / "wrapper")
    for source, agent in ((host.source(), "lost"), (host.source(command=["wrapper"]), "work")):
        with pytest.raises(CheckError) as caught:
            await source.check(agent)
        assert caught.value.reason is FailureReason.COMMAND_ERROR
        assert "no --agent before 2026.1.30; update OpenClaw" in caught.value.message


@pytest.mark.parametrize("way", WAYS)
async def test_release_that_has_the_option_after_an_update_is_asked_with_it_at_once(host: OldHost, way: str) -> None:
    source = host.source(**WAYS[way]())
    await source.check("main")
    host.install(NEW, "2026.9.6")
    host.answers("new", "token_ok_30d", "2026.9.6")
    host.calls()
    if way != "here":  # nothing here shows that the program was replaced
        with pytest.raises(CheckError):
            await source.check("main")
    assert (await source.check("main")).dialect is Dialect.ROUTES
    host.calls()
    await source.check("main")
    assert all("--agent main" in call for call in host.calls() if "status" in call)
    await source.aclose()


async def test_clawdbot_is_openclaw_by_its_former_name(host: OldHost) -> None:
    host.install(OLD, "2026.1.24-3", "clawdbot")
    seen = await host.source(command=["clawdbot"], state_dir=str(host.folder)).check("work")
    assert (seen.openclaw_version, seen.dialect, seen.openclaw_exit_code) == ("2026.1.24-3", Dialect.DATES, 1)


async def test_version_that_decides_about_a_login_is_asked_for_hourly_where_an_update_cannot_be_seen(
    host: OldHost,
) -> None:
    host.answers("main", "oauth_expired_refreshable")
    source = host.source(ssh="me@vps")
    assert (await source.check("main")).dialect is Dialect.DATES
    host.install(OLD, "2026.4.15")
    host.calls()
    host.now += 1800
    assert (await source.check("main")).openclaw_version == "2026.1.29"
    host.now += 2400
    assert (await source.check("main")).dialect is Dialect.STATUS
    assert host.calls() == [MAIN, MAIN, "--version AGENT_DIR="]
    host.answers("main", "token_ok_30d")
    host.now += 7200
    await source.check("main")
    assert host.calls() == [MAIN]
    await source.aclose()
