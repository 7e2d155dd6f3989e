"""Who may change something: the token, sessions, CSRF, and guessing."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_daemon import BEARER, TOKEN, Clock, FakeDaemon, Site, client, log_in, web

from exporter.web.app import create_app
from exporter.web.sessions import SESSION_LIFE, Guard, Sessions

# --- the token ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/check", "/-/reload"])
async def test_without_a_configured_token_nothing_can_be_changed(path: str, tmp_path: Path) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    gone = tmp_path / "gone"
    for keys in ({}, {"token_file": str(empty)}, {"token_file": str(gone)}):
        daemon = FakeDaemon()
        async with client(create_app(daemon, web(**keys))) as browser:
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
                answer = await browser.post(path, headers=headers)
                assert answer.status_code == 403
                assert answer.text == "Nothing can be changed over HTTP: set web.token_file to allow it.\n"
            assert (await browser.get("/login")).status_code == 403
            assert (await browser.post("/login", data={"token": ""})).status_code == 403
        assert daemon.calls == []


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        ({"Authorization": "Bearer"}, "Bearer"),
        ({"Authorization": "Basic eDp5"}, "Bearer"),
        ({"Authorization": "Bearer wrong"}, 'Bearer error="invalid_token"'),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 'Bearer error="invalid_token"'),
        ({"Authorization": f"Bearer {TOKEN}x"}, 'Bearer error="invalid_token"'),
        ({"Authorization": b"Bearer \xff\xfe"}, 'Bearer error="invalid_token"'),
        ({"X-CSRF-Token": TOKEN, "Cookie": f"openclaw-auth={TOKEN}"}, "Bearer"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/check", "/-/reload", "/logout"])
async def test_without_the_token_it_is_401(path: str, headers: dict[str, Any], challenge: str) -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web(token=TOKEN))) as browser:
        answer = await browser.post(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    assert TOKEN not in answer.text
    assert daemon.calls == []


async def test_a_rotated_token_takes_effect_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with client(create_app(FakeDaemon(), web(token_file=str(file)))) as browser:
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 200
        file.write_text("another\n")
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 401
        headers = {"Authorization": "bearer another"}
        assert (await browser.post("/-/reload", headers=headers)).status_code == 200


async def test_a_token_that_is_not_ascii_works() -> None:
    async with client(create_app(FakeDaemon(), web(token="schlüssel"))) as browser:
        assert (await browser.post("/login", data={"token": "schlüssel"})).status_code == 303


async def test_an_unreadable_token_file_is_logged_and_not_sent_to_the_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(create_app(FakeDaemon(), web(token_file=str(tmp_path / "gone")))) as browser:
        answer = await browser.post("/-/reload", headers=BEARER)
    assert str(tmp_path) not in answer.text
    assert "No such file" in caplog.text


# --- sessions ----------------------------------------------------------------------------------


async def test_a_browser_signs_in_checks_and_signs_out() -> None:
    site = Site()
    async with site.browser() as browser:
        assert '<form method="post" action="login">' in (await browser.get("/login")).text
        csrf = await log_in(browser)
        answer = await browser.post("/api/v1/check", data={"csrf": csrf})
        assert (answer.status_code, answer.headers["location"]) == (303, "../../")
        assert (await browser.post("/-/reload", headers={"X-CSRF-Token": csrf})).status_code == 200
        assert site.daemon.calls == [("check_now", None), ("reload",)]
        kept = browser.cookies["openclaw-auth"]
        assert (await browser.post("/logout", data={"csrf": csrf})).status_code == 303
        assert "openclaw-auth" not in browser.cookies
        browser.cookies.set("openclaw-auth", kept)  # what somebody copied is worthless now
        assert (await browser.post("/-/reload", headers={"X-CSRF-Token": csrf})).status_code == 401
    assert len(site.sessions) == 0


@pytest.mark.parametrize(
    ("base_url", "keys", "cookie"),
    [
        ("http://127.0.0.1:10785", {}, "openclaw-auth=…; HttpOnly; Max-Age=43200; Path=/; SameSite=strict"),
        (
            "https://localhost:10785",
            {},
            "__Host-openclaw-auth=…; HttpOnly; Max-Age=43200; Path=/; SameSite=strict; Secure",
        ),
        (
            "http://status.example.org",  # behind a proxy that ends TLS
            {"external_url": "https://status.example.org"},
            "__Host-openclaw-auth=…; HttpOnly; Max-Age=43200; Path=/; SameSite=strict; Secure",
        ),
    ],
)
async def test_the_session_cookie(base_url: str, keys: dict[str, str], cookie: str) -> None:
    async with Site(**keys).browser(base_url) as browser:
        answer = await browser.post("/login", data={"token": TOKEN})
    assert re.sub(r"=[\w-]{43};", "=…;", answer.headers["set-cookie"]) == cookie


async def test_a_wrong_token_gets_no_session() -> None:
    site = Site()
    async with site.browser() as browser:
        for data in ({"token": "wrong"}, {"token": ""}, {}, {"token": TOKEN + " "}):
            answer = await browser.post("/login", data=data)
            assert answer.status_code == 401
            assert "This is not the token." in answer.text
            assert "set-cookie" not in answer.headers
    assert len(site.sessions) == 0


@pytest.mark.parametrize("csrf", [None, "", "wrong", TOKEN])
async def test_without_the_csrf_token_a_session_changes_nothing(csrf: str | None) -> None:
    site = Site()
    async with site.browser() as browser:
        await log_in(browser)
        for path in ("/api/v1/check", "/-/reload", "/logout"):
            answer = await browser.post(path, data={} if csrf is None else {"csrf": csrf})
            assert answer.status_code == 403
            assert answer.text == "The form's CSRF token is missing or wrong: reload the page.\n"
    assert site.daemon.calls == []
    assert len(site.sessions) == 1


async def test_the_csrf_token_of_another_session_is_wrong() -> None:
    site = Site()
    async with site.browser() as one, site.browser() as other:
        csrf = await log_in(one)
        await log_in(other)
        assert (await other.post("/-/reload", data={"csrf": csrf})).status_code == 403


OTHER_SITES = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:10786"},
    {"Origin": "https://127.0.0.1:10785"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:10785"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", OTHER_SITES)
async def test_a_request_from_another_site_changes_nothing(headers: dict[str, str]) -> None:
    site = Site()
    async with site.browser() as browser:
        csrf = await log_in(browser)
        for path in ("/api/v1/check", "/-/reload", "/logout"):
            answer = await browser.post(path, data={"csrf": csrf}, headers=headers)
            assert answer.status_code == 403
            assert answer.text == "Another site sent this request: use the form on this server's own page.\n"
        answer = await browser.post("/login", data={"token": TOKEN}, headers=headers)
        assert answer.status_code == 403
    assert site.daemon.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:10785", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://status.example.org"},  # the proxy asks for us by our address
        {},  # an old browser says neither; the CSRF token is there
    ],
)
async def test_our_own_pages_may_change_something(headers: dict[str, str]) -> None:
    site = Site(external_url="https://status.example.org/auth/")
    async with site.browser() as browser:
        csrf = await log_in(browser, **headers)
        assert (await browser.post("/-/reload", data={"csrf": csrf}, headers=headers)).status_code == 200


async def test_a_session_cannot_be_fixed_beforehand() -> None:
    site = Site()
    async with site.browser() as browser:
        browser.cookies.set("openclaw-auth", "chosen-by-an-attacker", domain="127.0.0.1")
        answer = await browser.post("/login", data={"token": TOKEN})
        first = answer.cookies["openclaw-auth"]
        assert first != "chosen-by-an-attacker"
        assert site.sessions.find("chosen-by-an-attacker", TOKEN) is None
    async with site.browser(cookies={"openclaw-auth": first}) as browser:
        answer = await browser.post("/login", data={"token": TOKEN})
        assert answer.cookies["openclaw-auth"] != first
        assert site.sessions.find(first, TOKEN) is None  # the one before ended


async def test_a_session_ends_after_12_hours_and_with_its_token() -> None:
    site = Site()
    async with site.browser() as browser:
        csrf = await log_in(browser)
        site.clock.now += SESSION_LIFE - 1
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 200
        site.clock.now += 1
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 401
        assert len(site.sessions) == 0
        csrf = await log_in(browser)
        site.token = "another"
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 401
        site.token = TOKEN
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 401


def test_sessions_are_bounded_and_hold_neither_token_nor_id() -> None:
    sessions = Sessions(Clock())
    ids = [sessions.create(TOKEN) for _ in range(100)]
    assert len(set(ids)) == 100
    assert len(sessions) == 64
    assert sessions.find(ids[35], TOKEN) is None
    assert sessions.find(ids[36], TOKEN) is not None
    assert sessions.find("\ud800", TOKEN) is None
    assert TOKEN not in repr(vars(sessions))
    assert ids[99] not in repr(vars(sessions))


async def test_malformed_cookies_are_no_session() -> None:
    async with Site().browser() as browser:
        for cookie in (b"openclaw-auth=\xff\xfe", b"openclaw-auth", b";;;=;", b"a=b; " * 1000, b"openclaw-auth="):
            headers = [(b"Cookie", cookie)]
            assert (await browser.get("/", headers=headers)).status_code == 200
            assert (await browser.post("/-/reload", headers=headers)).status_code == 401


# --- guessing ----------------------------------------------------------------------------------


async def guess(browser: httpx.AsyncClient, way: str, token: str) -> httpx.Response:
    if way == "login":
        return await browser.post("/login", data={"token": token})
    return await browser.post("/-/reload", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("way", ["bearer", "login"])
async def test_wrong_tokens_are_limited_and_the_right_one_is_never_refused(way: str) -> None:
    """All come by one address, as behind a proxy."""
    site, right = Site(), 303 if way == "login" else 200
    async with site.browser() as browser:
        for number in range(10):
            assert (await guess(browser, way, f"wrong-{number}")).status_code == 401
            site.clock.now += 1
        for number in range(10):
            answer = await guess(browser, way, f"another-{number}")
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "51")
            assert "Too many failed attempts: wait 51 s." in answer.text
            assert (await guess(browser, way, TOKEN)).status_code == right
        site.clock.now += 51
        assert (await guess(browser, way, "wrong")).status_code == 401


@pytest.mark.parametrize("way", ["bearer", "login"])
async def test_wrong_tokens_from_200_addresses_are_limited_in_all(way: str) -> None:
    site, right = Site(), 303 if way == "login" else 200
    statuses = []
    for number in range(200):
        async with site.browser(address=f"10.0.0.{number}") as browser:
            statuses.append((await guess(browser, way, f"wrong-{number}")).status_code)
            assert (await guess(browser, way, TOKEN)).status_code == right
    assert statuses == [401] * 100 + [429] * 100


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, right: bytes) -> bool:
        compared.append((given, right))
        return given == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    guard = Guard(lambda: TOKEN)
    for given in (TOKEN, "x", "x" * 1000):
        guard.is_bearer({"headers": [(b"authorization", f"Bearer {given}".encode())]})
    assert {len(part) for pair in compared for part in pair} == {32}, "the time would tell how long the token is"
    assert len(compared) == 3
