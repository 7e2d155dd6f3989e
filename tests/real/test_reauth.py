"""``reauth`` in a real terminal with real OpenClaw releases on this host.

A stand-in replaces ``claude setup-token``. A search makes sure that a pasted secret is in OpenClaw's own store, on the
screen where Claude Code showed it, and nowhere else. ``test_reauth_paths`` has the other ways to renew.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from .desk import (
    COLUMNS,
    CURRENT,
    DAY,
    KEY,
    MARKS,
    MIDDLE,
    OLD,
    OLDEST,
    TOKEN,
    Desk,
    Homes,
    Leaks,
    Profiles,
    notified,
    recording_channel,
    wrapped,
)
from .parts import RELEASES, OpenClawHome, running, wait_for

pytestmark = pytest.mark.real

PASTE = "paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d"


def failing_home(homes: Homes, release: str, folder: Path) -> OpenClawHome:
    """Make a home with an expired token, a revoked key, and a login that cannot be refreshed."""
    now = int(time.time() * 1000)
    past, soon = now - 3_600_000, now + 7_200_000
    profiles: Profiles = {
        "anthropic:default": {"type": "token", "provider": "anthropic", "token": OLD, "expires": past},
        "xai:api": {"type": "api_key", "provider": "xai", "key": "B" * 40},
        "google:login": {"type": "oauth", "provider": "google", "access": "C" * 40, "expires": past},
    }
    usage = {"xai:api": {"disabledUntil": soon, "disabledReason": "auth_permanent", "errorCount": 3}}
    return homes.make(release, folder, profiles, usage, fallbacks=["google/gemini-3.1-pro-preview", "xai/grok-4"])


@pytest.mark.parametrize("release", RELEASES)
def test_renewal_on_each_release(homes: Homes, tmp_path: Path, release: str) -> None:
    """Interrupted and resumed, with an incomplete paste, a failing login, and a key whose disable must be ended.

    Nothing leaks, and the channels are notified at the end, by a daemon or without one.
    """
    world = failing_home(homes, release, tmp_path / "openclaw")
    messages = tmp_path / "messages"
    desk = Desk(world, tmp_path / "desk", channels=[recording_channel(messages)], alerts={"group_wait": "0s"})
    before = world.stored_profiles()
    with Leaks() as leaks, ExitStack() as daemon:
        if release == CURRENT:
            desk.exporter.give_web_token("a-token-that-is-long-enough-for-a-daemon")
            daemon.enter_context(running(desk.exporter))
            wait_for("the first notification", lambda: ("first", "anthropic") in notified(messages), 120)
        else:
            desk.exporter.run("check", "--notify", "--quiet")
        # Interrupted, failed, refused: nothing is changed.
        with desk.reauth() as person:
            assert "3 credentials need attention:" in person.answer("Which ones?", "")
            person.answer("Step 1 of 2: make a new token", "y")
            made = person.until("Step 2 of 2")
            assert TOKEN[:COLUMNS] in made
            assert TOKEN[COLUMNS:] in made
            assert PASTE in person.answer("Run it here?", "y")
            person.paste("\x03")
            person.until("Interrupted.")
            person.answer("Try again?", "n")
            person.until("Your new token is not stored yet")
            assert "models auth login --provider google" in person.answer("Step 1 of 1: sign in", "y")
            if release != OLDEST:  # that release reports that it has no plugin for it
                person.keys("Enter G", "\x03")
            person.until("The command failed (exit code 1).")
            person.answer("Try again?", "n")
            person.answer("remove the old one" if release == CURRENT else "give OpenClaw the", "")
            person.until("3 credentials still need attention:")
            assert person.wait() == 1
        assert world.stored_profiles() == before

        # Resumed: an incomplete token is noticed; then the whole token, wrapped as it was copied; then the key.
        with desk.reauth() as person:
            person.answer("Which ones?", "1 3")
            person.answer("Step 1 of 2", "s")
            person.answer("Step 2 of 2: give it to OpenClaw", "y")
            person.paste(TOKEN[:COLUMNS])
            person.until(f"Only {COLUMNS} of 108 characters arrived: it is cut off.")
            person.until("y/[N] ")
            person.type("\r")
            person.until("Nothing was stored.")
            assert world.stored_profiles() == before
            person.answer("Try again?", "y")
            person.paste(wrapped(TOKEN))
            person.until("anthropic:default on home/main works until 20")
            if release == CURRENT:
                person.answer("Step 1 of 2: remove the old one", "y")
            elif release != OLDEST:  # the question alone ends the disable
                person.answer("give OpenClaw the API key", "y")
                person.keys("Enter xAI API key", f"{KEY}\r" if release == MIDDLE else "\x03")
            if release != MIDDLE:
                person.answer("give OpenClaw the new API key", "y")
                person.paste(KEY)
            if release == OLDEST:  # that release has no command that ends the disable
                person.until("no command of this release ends it")
                person.until("It is stored, but OpenClaw keeps xai:api")
            else:
                person.until("xai:api on home/main works.")
            person.until("its alerts end." if release == CURRENT else "The channels are notified.")
            assert person.wait() == 1
            left = person.seen.rpartition("still need")[2]
            assert "google:login" in left
            assert ("xai:api" in left) == (release == OLDEST)
            assert "anthropic:default" not in left
            afterwards = person.seen.partition("Step 1 of 2")[2]
            assert not any(mark.decode() in afterwards for mark in MARKS)
        if release == CURRENT:
            wait_for("the notification of the renewal", lambda: ("renewed", "anthropic") in notified(messages), 60)
        daemon.close()
        desk.check_that_nothing_leaked(leaks)

    token, key = (world.stored_profiles()[profile] for profile in ("anthropic:default", "xai:api"))
    assert token["token"] == TOKEN
    assert token["expires"] / 1000 == pytest.approx(time.time() + 365 * DAY, abs=600)
    assert key.get("key", key.get("token")) == KEY
    assert notified(messages) >= {("first", "anthropic"), ("renewed", "anthropic"), ("first", "xai")}
    if release != OLDEST:  # a daemon that checked between the key and the end of the disable reports "resolved"
        assert {("renewed", "xai"), ("resolved", "xai")} & notified(messages)
