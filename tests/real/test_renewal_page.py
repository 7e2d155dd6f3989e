"""Renewing from the page: the real Claude Code up to its sign-in, and with a stand-in for it the whole way to green.

OpenClaw is real. A search makes sure that the secrets are in OpenClaw's own store and nowhere else.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_ins import claude
from visitor import Visitor

from .box import Box, opened
from .browser import PHONE, WIDE, Browser
from .conftest import need
from .desk import (
    CURRENT,
    DAY,
    KEY,
    MARKS,
    MIDDLE,
    MINIMAX,
    OLD,
    TOKEN,
    Desk,
    Homes,
    Leaks,
    Profiles,
    notified,
    program,
    recording_channel,
)
from .parts import processes_of, running, wait_for

pytestmark = pytest.mark.real


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A remote host, whose user has the programs of the folder ``far`` and the home ``home``."""
    folder = tmp_path_factory.mktemp("box")
    with opened(folder, f"SetEnv PATH={folder}/far:/usr/bin:/bin HOME={folder}/home\n") as there:
        yield there


WEB_TOKEN = "a-token-that-is-long-enough-for-a-daemon"


def desk_of(homes: Homes, folder: Path, release: str, *, is_disabled: bool = False, **target: object) -> Desk:
    """A daemon whose page may renew, beside a home with a working key and a token that has expired or is disabled."""
    now = int(time.time() * 1000)
    usage = {"disabledUntil": now + 7_200_000, "disabledReason": "auth_permanent", "errorCount": 3}
    ends = now + 30 * 86_400_000 if is_disabled else now - 3_600_000
    profiles: Profiles = {
        "anthropic:default": {"type": "token", "provider": "anthropic", "token": OLD, "expires": ends},
        "xai:api": {"type": "api_key", "provider": "xai", "key": "B" * 40},
    }
    disabled = {"anthropic:default": usage} if is_disabled else None
    world = homes.make(release, folder / "openclaw", profiles, disabled, fallbacks=["xai/grok-4"])
    target = {"name": "home", "source": "openclaw", "agents": ["main"], "command": [str(world.command)], **target}
    channels = [recording_channel(folder / "messages")]
    desk = Desk(
        world, folder / "desk", has_claude=False, channels=channels, alerts={"group_wait": "0s"}, targets=[target]
    )
    web = desk.exporter.config["web"]
    assert isinstance(web, dict)
    desk.exporter.config["web"] = {**web, "reauth": True}
    desk.exporter.give_web_token(WEB_TOKEN)
    world.env["PATH"] = desk.path
    return desk


def stand_in_at(folder: Path, token: Path) -> None:
    """Put the stand-in for Claude Code there. It reads the token that it will show from a file."""
    token.write_text(TOKEN)
    program(folder / "claude", f'#!/bin/sh\nexec {sys.executable} {claude.__file__} {token} "$@"\n')


def sign_in(person: Visitor, profile: str) -> None:
    """Follow the link of an alert's button, and sign in."""
    person.open(f"/renew?target=home&agent=main&profile={profile}")
    if "Sign in" in person.text:
        person.press("Sign in", token=WEB_TOKEN)
    assert f"Renew {profile}" in person.text


def check_the_secrets(desk: Desk, leaks: Leaks, person: Visitor, *folders: Path) -> None:
    """Only OpenClaw's store has them."""
    desk.check_that_nothing_leaked(leaks, *folders)
    seen = "".join(person.seen) + desk.exporter.log.read_text()
    assert not any(mark.decode() in seen for mark in MARKS)
    token = desk.world.stored_profiles()["anthropic:default"]
    assert token["token"] == TOKEN
    assert token["expires"] / 1000 == pytest.approx(time.time() + 365 * DAY, abs=600)


def test_the_page_renews_a_token_and_a_key(homes: Homes, tmp_path: Path) -> None:
    """Wrong codes, then the right one: the notification turns green. Then a key, pasted into the page."""
    desk = desk_of(homes, tmp_path, CURRENT)
    given, messages = desk.folder / "token", tmp_path / "messages"
    stand_in_at(desk.folder / "bin", given)
    with Leaks() as leaks, running(desk.exporter), Visitor(desk.exporter.url) as person:
        wait_for("the first notification", lambda: ("first", "anthropic") in notified(messages), 120)
        sign_in(person, "anthropic:default")
        person.press("Start")
        person.until("Open this address")
        assert claude.LINK in person.text
        person.press("Send the code", text="wrong")
        assert "That doesn't look like the full code." in person.until("full code")
        person.press("Send the code", text="wrong#code")
        assert "OAuth error: Invalid code." in person.until("OAuth error")
        person.press("Send the code", text=claude.RIGHT)
        assert "anthropic:default on home/main works until 20" in person.until("It works")
        wait_for("the notification", lambda: ("renewed", "anthropic") in notified(messages), 120)

        sign_in(person, "xai:api")
        person.press("Start")
        person.until("Paste the token or key")
        person.press("Give it to OpenClaw", secret=KEY)
        assert "xai:api on home/main works." in person.until("It works")
        given.unlink()
    check_the_secrets(desk, leaks, person)
    assert desk.world.stored_profiles()["xai:api"]["key"] == KEY
    log = desk.exporter.log.read_text()
    for step in ("started by a signed-in browser at 127.0.0.1", "a sign-in link is shown", "a code was entered"):
        assert step in log


class Looks:
    """A person who looks at each page in a real Chromium, wide and as a phone."""

    def __init__(self, browser: Browser, desk: Desk, pictures: Path) -> None:
        self.browser = browser
        self.url = desk.exporter.url
        self.pictures = Path(os.environ.get("OAE_PICTURES") or pictures)
        browser.open(WIDE)

    def look(self, name: str) -> None:
        for window, kind in ((PHONE, "phone"), (WIDE, "wide")):
            self.browser.do("await page.setViewportSize(arg)", window)
            assert self.browser.faults() == [], name
            self.browser.picture(self.pictures / f"renewal-{name}-{kind}.png")

    def press(self, name: str, field: str = "", text: str = "") -> None:
        if field:
            self.browser.do("await page.locator(`input[name=${arg[0]}]:visible`).fill(arg[1])", [field, text])
        self.browser.do("await page.getByRole('button', {name: arg, exact: true}).click()", name)

    def until(self, text: str) -> None:
        self.browser.do("await page.getByText(arg).first().waitFor({timeout: 120000})", text)

    def begin(self, profile: str) -> None:
        link = f"{self.url}/renew?target=home&agent=main&profile={profile}"
        self.browser.do("await page.goto(arg)", link)


def test_each_page_of_a_renewal_can_be_read_on_a_phone(homes: Homes, tmp_path: Path) -> None:
    """In a real Chromium, wide and as a phone, also while a program works and nobody has anything to enter."""
    desk = desk_of(homes, tmp_path, CURRENT)
    stand_in_at(desk.folder / "bin", desk.folder / "token")
    with Browser(tmp_path / "browser") as browser, running(desk.exporter):
        desk.exporter.wait_for_check()
        person = Looks(browser, desk, tmp_path)
        person.begin("anthropic:default")
        person.look("sign-in")
        person.press("Sign in", "token", WEB_TOKEN)
        person.until("Renew anthropic:default")
        person.look("preview")
        person.press("Start")
        person.look("works-on-it")
        person.until("Open this address")
        person.look("code")
        person.press("Send the code", "text", "wrong#code")
        person.until("OAuth error")
        person.look("wrong-code")
        person.press("Send the code", "text", claude.RIGHT)
        person.look("stores")
        person.until("It works")
        person.look("works")
        person.begin("xai:api")
        person.press("Start")
        person.until("Paste the token or key")
        person.look("secret")
        person.press("Cancel")
        person.until("Not everything is done")
        person.look("cancelled")
        assert browser.said == []


def test_the_device_code_of_openclaw_s_own_login_is_shown_and_followed(homes: Homes, tmp_path: Path) -> None:
    """``models auth login`` of the real release. Only the provider's server is a stand-in, which waits for the person.

    The page changes by itself: it keeps its place and what is selected, and turns green.
    """
    approved, messages = tmp_path / "approved", tmp_path / "messages"
    is_approved = f'(await import("node:fs")).existsSync("{approved}") ?'
    server = MINIMAX.replace("asked++ ?", is_approved)
    assert is_approved in server
    (tmp_path / "minimax.mjs").write_text(server)
    profiles: Profiles = {"xai:api": {"type": "api_key", "provider": "xai", "key": "B" * 40}}
    world = homes.make(
        CURRENT, tmp_path / "openclaw", profiles, fallbacks=["xai/grok-4", "minimax-portal/MiniMax-M2.1"]
    )
    world.env["NODE_OPTIONS"] = f"--import={tmp_path}/minimax.mjs"
    desk = Desk(
        world, tmp_path / "desk", has_claude=False, channels=[recording_channel(messages)], alerts={"group_wait": "0s"}
    )
    web = desk.exporter.config["web"]
    assert isinstance(web, dict)
    desk.exporter.config["web"] = {**web, "reauth": True}
    desk.exporter.give_web_token(WEB_TOKEN)
    with Leaks() as leaks, Browser(tmp_path / "browser") as browser, running(desk.exporter):
        wait_for("the first notification", lambda: ("first", "minimax-portal") in notified(messages), 120)
        person = Looks(browser, desk, tmp_path)
        person.begin("minimax-portal:default")
        person.press("Sign in", "token", WEB_TOKEN)
        person.look("login-preview")
        person.press("Start")
        person.until("MiniMax OAuth (Global)")
        person.look("login-choice")
        person.press("Enter")
        person.until("ABCD")
        person.look("login-device-code")
        assert browser.do("return await page.getByRole('link', {name: 'https://minimax.invalid/'}).count()") == 1
        person.press("Copy")
        assert browser.do("return await page.evaluate(() => navigator.clipboard.readText())") == "ABCD"
        browser.do("await page.evaluate(() => { window.same = true; })")
        approved.touch()
        person.until("It works")
        person.look("login-works")
        assert browser.do("return await page.evaluate(() => window.same)"), "it was loaded again"
        assert browser.said == []
        wait_for("the notification", lambda: ("renewed", "minimax-portal") in notified(messages), 120)
    desk.check_that_nothing_leaked(leaks)


def test_over_ssh_the_page_ends_a_disable_and_renews(homes: Homes, box: Box, tmp_path: Path) -> None:
    """Claude Code and OpenClaw are on the other host. OpenClaw's own prompt ends the disable, and stores nothing."""
    desk = desk_of(homes, tmp_path, MIDDLE, is_disabled=True, ssh="box", command=["openclaw"])
    world, given, messages = desk.world, box.folder / "token", tmp_path / "messages"
    (box.folder / "home").symlink_to(world.home)
    stand_in_at(box.folder / "far", given)
    service = " ".join(f"{name}='{world.env[name]}'" for name in ("PATH", "TMPDIR", "NO_COLOR"))
    program(box.folder / "far/openclaw", f'#!/bin/sh\nexec env {service} {world.command} "$@"\n')
    world.env |= {"PATH": f"{box.folder}/bin:{world.env['PATH']}", "XDG_RUNTIME_DIR": str(box.runtime)}
    with Leaks() as leaks, running(desk.exporter), Visitor(desk.exporter.url) as person:
        wait_for("the first notification", lambda: ("first", "anthropic") in notified(messages), 120)
        sign_in(person, "anthropic:default")
        assert "ssh -t box claude setup-token" in person.text
        person.press("Start")
        person.until("Open this address")
        person.press("Send the code", text=claude.RIGHT)
        assert "anthropic:default on home/main works until 20" in person.until("It works")
        # A check between the end of the disable and the new token reports "resolved".
        ends = {("renewed", "anthropic"), ("resolved", "anthropic")}
        wait_for("the notification", lambda: ends & notified(messages), 120)
        given.unlink()
    check_the_secrets(desk, leaks, person, box.folder)


def test_the_real_claude_code_asks_for_the_sign_in_and_refuses_a_wrong_code(homes: Homes, tmp_path: Path) -> None:
    """Without a network, it answers that its sign-in service cannot be reached. Then the person cancels."""
    desk = desk_of(homes, tmp_path, CURRENT)
    (desk.folder / "bin").mkdir(exist_ok=True)
    (desk.folder / "bin/claude").symlink_to(need("claude-2.1.330"))
    before = desk.world.stored_profiles()
    with running(desk.exporter), Visitor(desk.exporter.url) as person:
        desk.exporter.wait_for_check()
        sign_in(person, "anthropic:default")
        person.press("Start")
        person.until("Open this address")
        assert re.search(r"https://claude\.(ai|com)/\S*oauth/authorize\?\S+", person.text)
        person.press("Send the code", text="wrong")
        assert "That doesn't look like the full code." in person.until("full code")
        person.press("Send the code", text="wrongcode123456#state987654321")
        assert "OAuth error: " in person.until("OAuth error")
        person.press("Cancel")
        assert "Cancelled." in person.until("Not everything is done")
        assert not [line for line in processes_of(desk.world.home).values() if "setup-token" in line]
    assert desk.world.stored_profiles() == before
    assert "wrongcode" not in desk.exporter.log.read_text() + "".join(person.seen)
