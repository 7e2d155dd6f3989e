"""The choice that auto makes on a host, its reason, and how a change of it is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.config import AutoTarget, ClaudeTarget, OpenClawTarget, StoreTarget
from exporter.config.targets import TargetBase
from exporter.model import CheckError, Dialect, FailureReason, Observation
from exporter.sources import Fingerprint, InMemorySourceCache, Source, SourceContext, auto
from exporter.sources.auto import AutoSource, choose


class Host:
    """A home and a PATH on which things come and go."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        self.environ = {"HOME": str(self.home), "PATH": str(self.bin)}

    def command(self, name: str) -> None:
        (self.bin / name).write_text("#!/bin/sh\n")
        (self.bin / name).chmod(0o755)

    def store(self, layout: str = "agents/main/agent/auth-profiles.json", folder: str = ".openclaw") -> Path:
        path = self.home / folder / layout
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"version": 1, "profiles": {}}))
        return path

    def credentials(self, folder: str = ".claude") -> Path:
        path = self.home / folder / ".credentials.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        return path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def chosen(host: Host, **config: Any) -> tuple[str, str]:
    choice = choose(AutoTarget(**config), host.environ)
    return choice.kind, choice.reason


def test_openclaw_command_is_chosen_first(host: Host) -> None:
    host.store()
    host.command("claude")
    host.command("openclaw")
    assert chosen(host) == ("openclaw", f"{host.bin}/openclaw is on PATH")


def test_command_under_its_former_name_is_chosen_without_openclaw(host: Host) -> None:
    host.command("clawdbot")
    assert chosen(host) == ("openclaw", f"{host.bin}/clawdbot is on PATH")
    assert choose(AutoTarget(), host.environ).program == "clawdbot"
    host.command("openclaw")
    assert choose(AutoTarget(), host.environ).program == "openclaw"


def test_store_of_a_home_under_a_former_name_is_chosen(host: Host) -> None:
    path = host.store(folder=".clawdbot")
    assert chosen(host) == ("store", f"openclaw is not on PATH, and {path} is there")


def test_file_that_cannot_be_executed_is_not_a_command(host: Host) -> None:
    (host.bin / "openclaw").write_text("")
    host.command("claude")
    assert chosen(host) == ("claude", f"there is no OpenClaw, and {host.bin}/claude is on PATH")


@pytest.mark.parametrize(
    "layout",
    [
        "agents/main/agent/auth-profiles.json",
        "agents/work/agent/auth-profiles.json",
        "agents/main/agent/openclaw-agent.sqlite",
        "state/openclaw.sqlite",
    ],
)
def test_store_is_chosen_before_claude_code(host: Host, layout: str) -> None:
    host.command("claude")
    path = host.store(layout)
    assert chosen(host) == ("store", f"openclaw is not on PATH, and {path} is there")


def test_state_folder_without_a_store_is_not_chosen(host: Host) -> None:
    (host.home / ".openclaw/agents/main/agent").mkdir(parents=True)
    (host.home / ".openclaw/openclaw.json").write_text("{}")
    host.credentials()
    assert chosen(host)[0] == "claude"


def test_configured_state_folder_is_searched(host: Host) -> None:
    host.command("claude")
    path = host.store(folder="elsewhere")
    assert chosen(host)[0] == "claude"
    assert chosen(host, state_dir=str(host.home / "elsewhere")) == (
        "store",
        f"openclaw is not on PATH, and {path} is there",
    )
    host.environ["OPENCLAW_STATE_DIR"] = str(host.home / "elsewhere")
    assert chosen(host)[0] == "store"


def test_credentials_file_alone_chooses_claude(host: Host) -> None:
    path = host.credentials("conf")
    host.environ["CLAUDE_CONFIG_DIR"] = str(path.parent)
    assert chosen(host) == ("claude", f"there is no OpenClaw, and {path} is there")


def test_failure_names_the_searched_places_and_the_remedy(host: Host) -> None:
    with pytest.raises(CheckError) as caught:
        chosen(host)
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND
    for word in ("`openclaw` on PATH", f"{host.home}/.openclaw", "`claude` on PATH", "configure a target"):
        assert word in caught.value.message


def test_unreadable_state_folder_is_chosen_and_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)  # root may read everything
    assert chosen(host) == ("store", f"openclaw is not on PATH, and {host.home}/.openclaw is there")


# --- the source -----------------------------------------------------------------------------------------------


class Stand:
    """What auto built: answers at once and counts."""

    built: list[TargetBase]
    closed: int

    def __init__(self) -> None:
        self.built, self.closed = [], 0

    def __call__(self, target: Any, context: SourceContext) -> Source:
        self.built.append(target)
        stand = self

        class Chosen(Source):
            kind = target.source

            async def agents(self) -> list[str]:
                return ["main"]

            async def check(self, agent: str) -> Observation:
                return Observation(target.name, agent, self.kind, Dialect.STORE, 0.0, notes=("its own",))

            def fingerprint(self) -> Fingerprint | None:
                return Fingerprint(f"of {self.kind}")

            async def aclose(self) -> None:
                stand.closed += 1

        return Chosen()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand()
    monkeypatch.setattr(auto, "build", made)
    return made


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def make(host: Host, cache: InMemorySourceCache | None = None, **config: Any) -> AutoSource:
    context = SourceContext(
        keyed_hash=lambda text: f"hash of {text}", cache=cache or InMemorySourceCache(), environ=host.environ
    )
    return AutoSource(AutoTarget(**config), context)


async def test_choice_is_reported_with_its_reason(host: Host, stand: Stand) -> None:
    host.command("openclaw")
    subject = make(host)
    assert (subject.kind, subject.chosen) == ("auto", None)
    assert subject.fingerprint() == Fingerprint("hash of openclaw of openclaw")  # of what would be chosen
    assert await subject.agents() == ["main"]
    assert subject.kind == "openclaw"
    assert subject.chosen == f"openclaw: {host.bin}/openclaw is on PATH"
    assert subject.fingerprint() == Fingerprint("hash of openclaw of openclaw")
    assert (await subject.check("main")).notes == ("its own",)
    await subject.aclose()
    assert stand.closed == 1


async def test_changed_choice_is_noted_for_a_day_and_across_restarts(host: Host, stand: Stand) -> None:
    clock = Clock()
    cache = InMemorySourceCache(clock)
    host.command("openclaw")
    subject = make(host, cache)
    await subject.agents()
    (host.bin / "openclaw").unlink()
    host.store()
    await subject.agents()
    notes = ("its own", "the source changed from openclaw to store")
    assert subject.kind == "store"
    assert subject.chosen
    assert subject.chosen.startswith("store: openclaw is not on PATH")
    assert (await subject.check("main")).notes == notes
    assert stand.closed == 1
    again = make(host, cache)
    await again.agents()
    assert (await again.check("main")).notes == notes
    clock.now += 86401
    await again.agents()
    assert (await again.check("main")).notes == ("its own",)


async def test_next_run_notices_a_choice_that_changed_in_between(host: Host, stand: Stand) -> None:
    cache = InMemorySourceCache()
    host.credentials()
    await make(host, cache).agents()
    host.command("openclaw")
    subject = make(host, cache)
    await subject.agents()
    assert "the source changed from claude to openclaw" in (await subject.check("main")).notes


async def test_choice_of_a_process_that_runs_for_months_is_known_to_the_next_one(host: Host, stand: Stand) -> None:
    clock = Clock()
    cache = InMemorySourceCache(clock)
    host.credentials()
    subject = make(host, cache)
    for _ in range(100):
        await subject.agents()
        clock.now += 86400.0
    host.command("openclaw")
    again = make(host, cache)
    await again.agents()
    assert "the source changed from claude to openclaw" in (await again.check("main")).notes


async def test_same_choice_keeps_its_source(host: Host, stand: Stand) -> None:
    host.command("openclaw")
    subject = make(host)
    for _ in range(3):
        await subject.agents()
    assert len(stand.built) == 1


async def test_choice_fails_when_nothing_is_left_and_recovers(host: Host, stand: Stand) -> None:
    host.command("openclaw")
    subject = make(host)
    await subject.agents()
    (host.bin / "openclaw").unlink()
    with pytest.raises(CheckError) as caught:
        await subject.agents()
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND
    assert subject.chosen is None
    host.command("openclaw")
    assert await subject.agents() == ["main"]
    assert (await subject.check("main")).notes == ("its own",)


async def test_chosen_source_gets_the_settings_of_the_target(host: Host, stand: Stand) -> None:
    env_file, state_dir = host.home / "env", str(host.home / ".openclaw")
    env_file.write_text(f"PATH={host.bin}/more\n")
    common: dict[str, Any] = {
        "name": "home",
        "timeout": 9.0,
        "interval": 60.0,
        "schedule": False,
        "env_file": str(env_file),
    }
    openclaw = {**common, "agents": ["main", "work"], "state_dir": state_dir}
    host.command("openclaw")  # not on the service's PATH
    host.store()
    await make(host, **openclaw).agents()
    (host.bin / "more").mkdir()
    (host.bin / "openclaw").rename(host.bin / "more/openclaw")
    await make(host, **openclaw).agents()
    (host.bin / "more/openclaw").rename(host.bin / "more/claude")
    (host.home / ".openclaw/agents/main/agent/auth-profiles.json").unlink()
    await make(host, **openclaw).agents()
    assert stand.built == [
        StoreTarget(source="store", **openclaw),
        OpenClawTarget(source="openclaw", **openclaw),
        ClaudeTarget(source="claude", **common),
    ]


async def test_choice_builds_the_real_source(host: Host) -> None:
    host.credentials()
    subject = make(host)
    assert await subject.agents() == ["claude-code"]
    host.store()
    assert await subject.agents() == ["main"]
    assert (await subject.check("main")).source == "store"
    await subject.aclose()
