"""``reauth`` in a real terminal with the real OpenClaw releases, a stand-in for ``claude setup-token``, and
a search for what was pasted: it may be in OpenClaw's own store, on the person's screen by Claude Code, and
nowhere else.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from reauth.typist import Typist

from .conftest import need
from .parts import RELEASES, TOKEN_PREFIX, Exporter, OpenClawHome
from .test_ssh import Box, box  # noqa: F401 - the fixture

pytestmark = pytest.mark.real

OLDEST = RELEASES[-1]
DAY = 86400.0
COLUMNS = 80
#: Made up, as long as real ones, and nowhere the same for twelve characters.
TOKEN = TOKEN_PREFIX + "".join(f"{n:03d}T" for n in range(23)) + "END"
KEY = "sk-ant-api03-" + "".join(f"{n:03d}K" for n in range(23)) + "END"
#: Any part of a secret that would tell of it: its lines as they were wrapped, and its ends.
MARKS = [part.encode() for secret in (TOKEN, KEY) for part in (secret[20:50], secret[85:])]

CLAUDE = f"""#!/bin/sh
[ "$*" = setup-token ] || exit 64
echo "Your OAuth token (valid for 1 year):"
fold -w {COLUMNS} <<'TOKEN'
{TOKEN}
TOKEN
"""
#: OpenClaw's own files, where what is pasted belongs.
STORES = ("auth-profiles.json", "openclaw-agent.sqlite", "openclaw.sqlite")


PASTE = "paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d"


def wrapped(secret: str) -> str:
    return "\r".join(secret[at : at + COLUMNS] for at in range(0, len(secret), COLUMNS))


class Leaks:
    """Looks at every process, again and again, for what was pasted: command lines and environments."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Leaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.looks += 1
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    for name in ("cmdline", "environ"):
                        try:
                            content = (entry / name).read_bytes()
                        except OSError:
                            continue
                        if any(mark in content for mark in MARKS):
                            self.found.add(content[:80].decode(errors="replace"))


def files_with_a_secret(since: float, *folders: Path) -> list[Path]:
    """The files that hold a part of what was pasted, but OpenClaw's own stores and the stand-in."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if not path.is_file() or path.is_symlink() or path.name.startswith(STORES) or path.name == "claude":
                continue
            if path.stat().st_mtime >= since and any(mark in path.read_bytes() for mark in MARKS):
                found.append(path)
    return found


class Desk:
    """A person at a terminal, with a world to sign in to and a stand-in for Claude Code."""

    def __init__(self, world: OpenClawHome, folder: Path, **config: Any) -> None:
        self.world = world
        self.folder = folder
        self.began = time.time()
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/claude").write_text(CLAUDE)
        (folder / "bin/claude").chmod(0o755)
        target = {"name": "home", "source": "openclaw", "command": [str(world.command)], "agents": ["main"]}
        self.exporter = Exporter(world, folder / "exporter", **{"targets": [target], **config})

    @contextmanager
    def reauth(self, path: str = "", **env: str) -> Iterator[Typist]:
        argv = self.exporter._argv("reauth")
        search = ":".join(filter(None, (path, str(self.folder / "bin"), self.world.env["PATH"])))
        with Typist(argv, {**self.world.env, "TERM": "xterm", "PATH": search, **env}, COLUMNS) as person:
            yield person

    def check_that_nothing_leaked(self, leaks: Leaks) -> None:
        assert leaks.looks > 10
        assert leaks.found == set()
        temporary = Path(self.world.env["TMPDIR"])
        logs = [temporary, Path("/tmp/openclaw")]  # noqa: S108 - where OpenClaw writes its log
        assert files_with_a_secret(self.began, self.world.home, self.folder, *logs) == []


OLD = TOKEN_PREFIX + "A" * 95


@pytest.fixture
def unhappy(tmp_path: Path) -> Callable[[str], OpenClawHome]:
    """Makes a home of a release: an expired token, a revoked key, and a login that nothing can refresh."""

    def make(release: str) -> OpenClawHome:
        need("node")
        need(f"openclaw-{release}")
        world = OpenClawHome(release, tmp_path / "openclaw")
        # By hand what commands would do: each of them costs seconds of CPU.
        model = "claude-opus-5" if world.version >= (2026, 7) else "claude-opus-4-6"
        models = {
            "primary": f"anthropic/{model}",
            "fallbacks": ["google/gemini-3.1-pro-preview", "xai/grok-4"],
        }
        store = world.state / "agents/main/agent/auth-profiles.json"
        store.parent.mkdir(parents=True)
        (world.state / "openclaw.json").write_text(json.dumps({"agents": {"defaults": {"model": models}}}))
        if world.version < (2026, 6):
            store.write_text(json.dumps({"version": 1, "profiles": {}}))
        now = int(time.time() * 1000)
        past, soon = now - 3_600_000, now + 7_200_000
        world.write_store(
            {
                "anthropic:default": {"type": "token", "provider": "anthropic", "token": OLD, "expires": past},
                "xai:api": {"type": "api_key", "provider": "xai", "key": "B" * 40},
                "google:login": {"type": "oauth", "provider": "google", "access": "C" * 40, "expires": past},
            },
            {"xai:api": {"disabledUntil": soon, "disabledReason": "auth_permanent", "errorCount": 3}},
        )
        return world

    return make


@pytest.mark.parametrize("release", RELEASES)
def test_the_way_back_on_each_release(unhappy: Callable[[str], OpenClawHome], tmp_path: Path, release: str) -> None:
    """Given up half way, picked up again, a paste cut in half, a login that fails, a key: and nothing leaks."""
    world = unhappy(release)
    told = tmp_path / "told"
    channel = {"name": "told", "type": "command", "command": ["/bin/sh", "-c", f"cat >> {told}; echo >> {told}"]}
    desk = Desk(world, tmp_path / "desk", channels=[channel] if release == OLDEST else [])
    before = world.stored_profiles()
    with Leaks() as leaks:
        if release == OLDEST:
            desk.exporter.run("check", "--notify", "--quiet")
        # Interrupted, failed, refused: nothing is half done.
        with desk.reauth() as person:
            assert "3 credentials need you:" in person.answer("Which?", "")
            person.answer("Step 1 of 2: make a new token", "y")
            made = person.until("Step 2 of 2")
            assert TOKEN[:COLUMNS] in made
            assert TOKEN[COLUMNS:] in made
            assert PASTE in person.answer("Run it here?", "y")
            person.paste("\x03")
            person.until("Interrupted.")
            person.answer("Again?", "n")
            person.until("What you made is not stored yet")
            assert "models auth login --provider google" in person.answer("Step 1 of 1: sign in", "y")
            if release != OLDEST:  # which has no plugin for it, and says so
                person.until("Enter G")
                person.type("\x03")
            person.until("That did not work (exit code 1).")
            person.answer("Again?", "n")
            person.answer("give OpenClaw the new API key", "")
            person.until("3 credentials still need you:")
            assert person.wait() == 1
        assert world.stored_profiles() == before

        # Picked up again; half of the token is noticed; then all of it, wrapped as it was copied; then the key.
        with desk.reauth() as person:
            person.answer("Which?", "1 3")
            person.answer("Step 1 of 2", "s")
            person.answer("Step 2 of 2: give it to OpenClaw", "y")
            person.paste(TOKEN[:COLUMNS])
            person.until(f"Only {COLUMNS} of 108 characters came: it is cut off.")
            person.until("y/[N] ")
            person.type("\r")
            person.until("Nothing was stored.")
            assert world.stored_profiles() == before
            person.answer("Again?", "y")
            person.paste(wrapped(TOKEN))
            person.until("anthropic:default on home/main works until 20")
            person.answer("Step 1 of 1: give OpenClaw the new API key", "y")
            person.paste(KEY)
            person.until("It is stored, but OpenClaw keeps xai:api")
            if release != OLDEST:  # which has nothing that ends the disable
                person.answer("Step 1 of 1: end the disable now", "n")
            else:
                person.until("The channels are told.")
            left = person.until("2 credentials still need you:") + person.until("google:login")
            assert person.wait() == 1
            assert "anthropic:default expired" not in left.rpartition("still need")[2]
            afterwards = person.seen.partition("Step 1 of 2")[2]
            assert not any(mark.decode() in afterwards for mark in MARKS)
        desk.check_that_nothing_leaked(leaks)

    token, key = (world.stored_profiles()[profile] for profile in ("anthropic:default", "xai:api"))
    assert token["token"] == TOKEN
    assert token["expires"] / 1000 == pytest.approx(time.time() + 365 * DAY, abs=600)
    assert key.get("key", key.get("token")) == KEY
    if release == OLDEST:
        alerts = [alert for line in told.read_text().split("\n") if line for alert in json.loads(line)["alerts"]]
        said = {(alert["reason"], alert["provider"]) for alert in alerts}
        assert said >= {("first", "anthropic"), ("renewed", "anthropic")}


def test_over_ssh(box: Box, unhappy: Callable[[str], OpenClawHome], tmp_path: Path) -> None:  # noqa: F811
    """The login has the terminal over there (``ssh -t``); what is pasted goes through the connection's pipe."""
    world = unhappy(OLDEST)
    command = ["env", *(f"{name}={value}" for name, value in world.env.items()), str(world.command)]
    target = {"name": "home", "source": "openclaw", "ssh": "box", "command": command, "agents": ["main"]}
    desk = Desk(world, tmp_path / "desk", targets=[target])
    here = {"path": f"{box.folder}/bin", "XDG_RUNTIME_DIR": str(box.runtime)}
    with Leaks() as leaks:
        with desk.reauth(**here) as person:
            person.answer("Which?", "1 2")
            person.answer("Step 1 of 2", "s")
            assert "  ssh box env " in person.answer("Step 2 of 2: give it to OpenClaw", "y")
            person.paste(wrapped(TOKEN))
            person.until("anthropic:default on home/main works until 20")
            assert "  ssh -t box env " in person.answer("Step 1 of 1: sign in", "y")
            person.until("No provider plugins found")
            person.until("That did not work (exit code 1).")
            person.answer("Again?", "n")
            person.until("Left as it is.")
            assert person.wait() == 1
        desk.check_that_nothing_leaked(leaks)
    assert world.stored_profiles()["anthropic:default"]["token"] == TOKEN
