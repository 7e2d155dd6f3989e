"""``reauth`` in a real terminal with the real OpenClaw releases, a stand-in for ``claude setup-token``, and
a search for what was pasted: it may be in OpenClaw's own store, on the person's screen by Claude Code, and
nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from reauth.typist import Typist

from .conftest import MakeHome
from .parts import CURRENT, RELEASES, TOKEN_PREFIX, Exporter, OpenClawHome
from .test_ssh import Box, box  # noqa: F401 - the fixture

pytestmark = pytest.mark.real

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
        while not self._over.wait(0.1):
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
    def reauth(self, *arguments: str, columns: int = COLUMNS, path: str = "", **env: str) -> Iterator[Typist]:
        argv = self.exporter._argv("reauth", *arguments)
        search = ":".join(filter(None, (path, str(self.folder / "bin"), self.world.env["PATH"])))
        with Typist(argv, {**self.world.env, "TERM": "xterm", "PATH": search, **env}, columns) as person:
            yield person

    def check_that_nothing_leaked(self, leaks: Leaks) -> None:
        assert leaks.looks > 10
        assert leaks.found == set()
        temporary = Path(self.world.env["TMPDIR"])
        logs = [temporary, Path("/tmp/openclaw")]  # noqa: S108 - where OpenClaw writes its log
        assert files_with_a_secret(self.began, self.world.home, self.folder, *logs) == []


OLD = TOKEN_PREFIX + "A" * 95


def unhappy(world: OpenClawHome) -> str:
    """A token that expired, a key that was revoked, and a login of another provider in use that nothing can refresh.

    Returns that login's provider.
    """
    provider = "openai" if world.version >= (2026, 6) else "openai-codex"
    now = int(time.time() * 1000)
    world.write_store(
        {
            "anthropic:default": {"type": "token", "provider": "anthropic", "token": OLD, "expires": now - 3_600_000},
            "anthropic:api": {"type": "api_key", "provider": "anthropic", "key": "sk-ant-api03-" + "B" * 95},
            f"{provider}:login": {
                "type": "oauth",
                "provider": provider,
                "access": "C" * 40,
                "expires": now - 7_200_000,
            },
        },
        {"anthropic:api": {"disabledUntil": now + 7_200_000, "disabledReason": "auth_permanent", "errorCount": 3}},
    )
    path = world.state / "openclaw.json"
    config = json.loads(path.read_text())
    model = config["agents"]["defaults"]["model"]
    primary = model if isinstance(model, str) else model["primary"]
    config["agents"]["defaults"]["model"] = {"primary": primary, "fallbacks": [f"{provider}/gpt-5.4"]}
    path.write_text(json.dumps(config))
    return provider


def numbers(shown: str, *profiles: str) -> str:
    """What to answer so that these are chosen, in this order."""
    found = {profile: re.search(rf"(\d+)\. \w+: {profile} ", shown) for profile in profiles}
    return " ".join(number[1] for number in found.values() if number)


def choose(person: Typist, *profiles: str) -> None:
    shown = person.until("Which?") + person.until("> ")
    person.type(f"{numbers(shown, *profiles)}\r")


@pytest.mark.parametrize("release", RELEASES)
def test_the_way_back_on_each_release(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
    """Given up half way, picked up again, a paste cut in half, a login refused, a key: and nothing leaks."""
    world = openclaw(release)
    provider = unhappy(world)
    told = tmp_path / "told"
    channel = {"name": "told", "type": "command", "command": ["/bin/sh", "-c", f"cat >> {told}; echo >> {told}"]}
    desk = Desk(world, tmp_path / "desk", channels=[channel] if release == CURRENT else [])
    before = world.stored_profiles()
    with Leaks() as leaks:
        if release == CURRENT:
            desk.exporter.run("check", "--notify", "--quiet")
        # Refused, interrupted, given up: nothing is half done.
        with desk.reauth() as person:
            assert "3 credentials need you:" in person.until("Which?")
            person.until("> ")
            person.type("\r")
            for _ in range(3):
                called = person.until("== ") + person.until(" on home/main")
                if "anthropic:default" in called:
                    person.answer("Step 1 of 2: make a new token", "y")
                    made = person.until("Step 2 of 2")
                    assert TOKEN[:COLUMNS] in made
                    assert TOKEN[COLUMNS:] in made
                    assert PASTE in person.answer("Run it here?", "y")
                    person.paste("\x03")
                    person.until("Interrupted.")
                    person.answer("Again?", "n")
                elif "anthropic:api" in called:
                    person.answer("give OpenClaw the new API key", "")
                else:
                    person.answer("Step 1 of 1: sign in", "y")
                    person.until("OpenClaw")
                    person.type("\x03")
                    person.answer("Again?", "n")
                person.until("Left as it is.")
                if "anthropic:default" in called:
                    person.until("What you made is not stored yet")
            person.until("3 credentials still need you:")
            assert person.wait() == 1
        assert world.stored_profiles() == before

        # Picked up again; half of the token is noticed; then all of it, wrapped as it was copied; then the key.
        with desk.reauth() as person:
            choose(person, "anthropic:default", "anthropic:api")
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
            person.until("It is stored, but OpenClaw keeps anthropic:api")
            if release == "2026.6.11":  # its own prompt, and the disable is over
                person.answer("Step 1 of 1: end the disable now", "y")
                person.until("Enter Anthropic API key")
                person.type(f"{KEY}\r")
                person.until("anthropic:api on home/main works")
            elif release != "2026.2.9":  # which has nothing that ends it
                person.answer("Step 1 of 1: end the disable now", "n")
            if release == CURRENT:
                person.until("The channels are told.")
            left = person.until(f"{provider}:login")
            assert ("anthropic:api" in left) is (release != "2026.6.11")
            assert "anthropic:default" not in left
            assert person.wait() == 1
            afterwards = person.seen.partition("Step 1 of 2")[2]
            assert not any(mark.decode() in afterwards for mark in MARKS)
        desk.check_that_nothing_leaked(leaks)

    token, key = (world.stored_profiles()[profile] for profile in ("anthropic:default", "anthropic:api"))
    assert token["token"] == TOKEN
    assert token["expires"] / 1000 == pytest.approx(time.time() + 365 * DAY, abs=600)
    assert key.get("key", key.get("token")) == KEY
    if release == CURRENT:
        alerts = [alert for line in told.read_text().split("\n") if line for alert in json.loads(line)["alerts"]]
        assert {(alert["reason"], alert["profile"]) for alert in alerts} >= {
            ("first", ""),
            ("renewed", "anthropic:default"),
        }
