"""Who may do what: hosts, token, sessions, CSRF, limits, basic authentication."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from boards import HASHED, PASSWORD, TOKEN, FakeBoard, client, web
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError
from exporter.web import users as users_module
from exporter.web.app import create_app
from exporter.web.security import SESSION_LIFE, Guard, HostRule, Limiter, Sessions, host_of
from exporter.web.users import Users, parse_users

BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- hosts -------------------------------------------------------------------------------------

LOOPBACK = HostRule.of("127.0.0.1", "https://status.example.org/auth")
EVERYWHERE = HostRule("0.0.0.0", "status.example.org", frozenset({"closet.example.net"}))  # noqa: S104 - compared


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "status.example.org"]
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/check"])
def test_on_loopback_our_own_names_are_ours(host: str, path: str) -> None:
    assert LOOPBACK.allows(host, path)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.5", "8.8.8.8", "rack7", "x.local"]
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/check"])
def test_on_loopback_nothing_else_is(host: str, path: str) -> None:
    assert not LOOPBACK.allows(host, path)


@pytest.mark.parametrize(
    "host",
    ["192.168.1.5", "10.0.0.1", "fe80::1", "localhost", "rack7", "rack7.local", "rack7.lan", "closet.example.net"],
)
def test_elsewhere_addresses_and_names_without_public_dns_are_ours(host: str) -> None:
    assert EVERYWHERE.allows(host, "/")


@pytest.mark.parametrize("host", ["evil.example", "rack7.corp.example.com", "192.168.1.5.nip.io"])
def test_elsewhere_a_public_name_may_scrape_and_nothing_else(host: str) -> None:
    for path in ("/metrics", "/probe", "/sd", "/-/healthy", "/-/ready"):
        assert EVERYWHERE.allows(host, path)
    for path in ("/", "/api/v1/status", "/api/v1/check", "/login", "/-/reload", "/metrics/"):
        assert not EVERYWHERE.allows(host, path)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("LocalHost:10785", "localhost"),
        ("localhost.", "localhost"),
        ("[::1]:10785", "::1"),
        ("[::1]", "::1"),
        ("::1", None),
        ("", None),
        (".", None),
        ("a b", None),
        ("user@localhost", None),
        ("localhost:port", None),
        ("localhost:1/x", None),
        ("localhost,evil.example", None),
        ("evil.example#localhost", None),
        ("[localhost]", None),
        ("x" * 300, None),
    ],
)
def test_a_host_header_is_read_strictly(header: str, host: str | None) -> None:
    assert host_of(header) == host


@settings(deadline=None)
@given(st.text())
def test_no_host_header_has_anything_odd_in_it(header: str) -> None:
    assert re.fullmatch(r"[a-z0-9._:-]+", host_of(header) or "x")


@pytest.mark.parametrize(
    ("host", "status", "text"),
    [
        ("evil.example:10785", 421, "This server is not known as evil.example: set web.external_url to the address"),
        ("<script>", 400, "The Host header is malformed."),
    ],
)
async def test_a_foreign_host_is_refused_everywhere(host: str, status: int, text: str) -> None:
    board = FakeBoard()
    async with client(create_app(board, web(token=TOKEN))) as browser:
        for method, path in (("GET", "/"), ("GET", "/metrics"), ("POST", "/api/v1/check"), ("POST", "/login")):
            answer = await browser.request(method, path, headers=BEARER | {"Host": host})
            assert answer.status_code == status
            assert answer.text.startswith(text)
            assert answer.headers["x-frame-options"] == "DENY"
    assert board.asked == []


# --- the token ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/check", "/-/reload"])
async def test_without_a_configured_token_nothing_can_be_changed(path: str, tmp_path: Path) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    gone = tmp_path / "gone"
    for keys in ({}, {"token_file": str(empty)}, {"token_file": str(gone)}):
        board = FakeBoard()
        async with client(create_app(board, web(**keys))) as browser:
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
                answer = await browser.post(path, headers=headers)
                assert answer.status_code == 403
                assert answer.text == "Nothing can be changed over HTTP: configure web.token_file to allow it.\n"
            assert (await browser.get("/login")).status_code == 403
            assert (await browser.post("/login", data={"token": ""})).status_code == 403
        assert board.asked == []


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
    board = FakeBoard()
    async with client(create_app(board, web(token=TOKEN))) as browser:
        answer = await browser.post(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    assert TOKEN not in answer.text
    assert board.asked == []


async def test_a_rotated_token_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with client(create_app(FakeBoard(), web(token_file=str(file)))) as browser:
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 200
        file.write_text("another\n")
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 401
        headers = {"Authorization": "bearer another"}
        assert (await browser.post("/-/reload", headers=headers)).status_code == 200


async def test_a_token_that_is_not_ascii_works() -> None:
    async with client(create_app(FakeBoard(), web(token="schlüssel"))) as browser:
        assert (await browser.post("/login", data={"token": "schlüssel"})).status_code == 303


async def test_an_unreadable_token_file_is_logged_and_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(create_app(FakeBoard(), web(token_file=str(tmp_path / "gone")))) as browser:
        answer = await browser.post("/-/reload", headers=BEARER)
    assert str(tmp_path) not in answer.text
    assert "No such file" in caplog.text


# --- sessions ----------------------------------------------------------------------------------


class World:
    """An app with a token, its board and the clock of its sessions."""

    def __init__(self, **keys: Any) -> None:
        self.clock = Clock()
        self.board = FakeBoard()
        self.token = TOKEN
        self.sessions = Sessions(self.clock)
        keys = {"token": TOKEN} | keys
        guard = Guard(lambda: self.token, keys.get("external_url", ""), self.sessions, Limiter(self.clock))
        self.app = create_app(self.board, web(**keys), guard)

    @contextlib.asynccontextmanager
    async def browser(self, base_url: str = "http://127.0.0.1:10785", **keys: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with client(self.app, base_url, **keys) as browser:
            yield browser


async def log_in(browser: httpx.AsyncClient, **headers: str) -> str:
    """Signs in and returns the CSRF token of the page."""
    answer = await browser.post("/login", data={"token": TOKEN}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    found = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/")).text)
    assert found
    return found[1]


async def test_a_browser_signs_in_looks_and_signs_out() -> None:
    world = World()
    async with world.browser() as browser:
        assert '<form method="post" action="login">' in (await browser.get("/login")).text
        csrf = await log_in(browser)
        answer = await browser.post("/api/v1/check", data={"csrf": csrf})
        assert (answer.status_code, answer.headers["location"]) == (303, "../../")
        assert (await browser.post("/-/reload", headers={"X-CSRF-Token": csrf})).status_code == 200
        assert world.board.asked == [("check_now", None), ("reload",)]
        kept = browser.cookies["openclaw-auth"]
        assert (await browser.post("/logout", data={"csrf": csrf})).status_code == 303
        assert "openclaw-auth" not in browser.cookies
        browser.cookies.set("openclaw-auth", kept)  # what somebody copied is worthless now
        assert (await browser.post("/-/reload", headers={"X-CSRF-Token": csrf})).status_code == 401
    assert len(world.sessions) == 0


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
    async with World(**keys).browser(base_url) as browser:
        answer = await browser.post("/login", data={"token": TOKEN})
    assert re.sub(r"=[\w-]{43};", "=…;", answer.headers["set-cookie"]) == cookie


async def test_a_wrong_token_gets_no_session() -> None:
    world = World()
    async with world.browser() as browser:
        for data in ({"token": "wrong"}, {"token": ""}, {}, {"token": TOKEN + " "}):
            answer = await browser.post("/login", data=data)
            assert answer.status_code == 401
            assert "This is not the token." in answer.text
            assert "set-cookie" not in answer.headers
    assert len(world.sessions) == 0


@pytest.mark.parametrize("csrf", [None, "", "wrong", TOKEN])
async def test_without_the_csrf_token_a_session_changes_nothing(csrf: str | None) -> None:
    world = World()
    async with world.browser() as browser:
        await log_in(browser)
        for path in ("/api/v1/check", "/-/reload", "/logout"):
            answer = await browser.post(path, data={} if csrf is None else {"csrf": csrf})
            assert answer.status_code == 403
            assert answer.text == "The form's CSRF token is missing or wrong: load the page again.\n"
    assert world.board.asked == []
    assert len(world.sessions) == 1


async def test_the_csrf_token_of_another_session_is_wrong() -> None:
    world = World()
    async with world.browser() as one, world.browser() as other:
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
async def test_what_another_site_sends_changes_nothing(headers: dict[str, str]) -> None:
    world = World()
    async with world.browser() as browser:
        csrf = await log_in(browser)
        for path in ("/api/v1/check", "/-/reload", "/logout"):
            answer = await browser.post(path, data={"csrf": csrf}, headers=headers)
            assert answer.status_code == 403
            assert answer.text == "This was sent by another site: use the form on this server's own page.\n"
        answer = await browser.post("/login", data={"token": TOKEN}, headers=headers)
        assert answer.status_code == 403
    assert world.board.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:10785", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://status.example.org"},  # the proxy asks for us by our address
        {},  # an old browser says neither; the CSRF token is there
    ],
)
async def test_our_own_pages_may(headers: dict[str, str]) -> None:
    world = World(external_url="https://status.example.org/auth/")
    async with world.browser() as browser:
        csrf = await log_in(browser, **headers)
        assert (await browser.post("/-/reload", data={"csrf": csrf}, headers=headers)).status_code == 200


async def test_a_session_cannot_be_fixed_beforehand() -> None:
    world = World()
    async with world.browser() as browser:
        browser.cookies.set("openclaw-auth", "chosen-by-an-attacker", domain="127.0.0.1")
        answer = await browser.post("/login", data={"token": TOKEN})
        first = answer.cookies["openclaw-auth"]
        assert first != "chosen-by-an-attacker"
        assert world.sessions.find("chosen-by-an-attacker", TOKEN) is None
    async with world.browser(cookies={"openclaw-auth": first}) as browser:
        answer = await browser.post("/login", data={"token": TOKEN})
        assert answer.cookies["openclaw-auth"] != first
        assert world.sessions.find(first, TOKEN) is None  # the one before ended


async def test_a_session_ends_after_12_hours_and_with_its_token() -> None:
    world = World()
    async with world.browser() as browser:
        csrf = await log_in(browser)
        world.clock.now += SESSION_LIFE - 1
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 200
        world.clock.now += 1
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 401
        assert len(world.sessions) == 0
        csrf = await log_in(browser)
        world.token = "another"
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 401
        world.token = TOKEN
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


async def test_odd_cookies_are_nobodys() -> None:
    async with World().browser() as browser:
        for cookie in (b"openclaw-auth=\xff\xfe", b"openclaw-auth", b";;;=;", b"a=b; " * 1000, b"openclaw-auth="):
            headers = [(b"Cookie", cookie)]
            assert (await browser.get("/", headers=headers)).status_code == 200
            assert (await browser.post("/-/reload", headers=headers)).status_code == 401


# --- guessing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bearer", "login"])
async def test_ten_wrong_tokens_a_minute_and_then_nothing(way: str) -> None:
    world = World()

    async def guess(browser: httpx.AsyncClient, token: str) -> httpx.Response:
        if way == "login":
            return await browser.post("/login", data={"token": token})
        return await browser.post("/-/reload", headers={"Authorization": f"Bearer {token}"})

    async with world.browser() as browser, world.browser(address="10.0.0.2") as other:
        right = 303 if way == "login" else 200
        for number in range(10):
            assert (await guess(browser, f"wrong-{number}")).status_code == 401
            world.clock.now += 1
            assert (await guess(other, TOKEN)).status_code == right  # the right one does not count
            assert (await guess(other, TOKEN)).status_code == right
        answer = await guess(browser, TOKEN)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "51")
        assert "Too many failed tries: wait 51 s." in answer.text
        world.clock.now += 50
        assert (await guess(browser, TOKEN)).status_code == right


def test_the_limiter_is_bounded_and_sees_an_ipv6_network_as_one() -> None:
    limiter = Limiter(Clock(), tries=2)
    for number in range(5000):
        limiter.admit({"client": (f"10.0.{number // 256}.{number % 256}", 1)})
    assert len(limiter) == 1024
    admitted = [limiter.admit({"client": (f"2001:db8::{number}%eth0", 1)}) is None for number in (1, 2, 3)]
    assert admitted == [True, True, False]
    assert limiter.admit({"client": ("2001:db8:0:1::1", 1)}) is None
    assert limiter.admit({"client": None}) is None


# --- basic authentication ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f'{{"alice": "{HASHED}"}}',
        f"{{ basic_auth_users: {{ alice: '{HASHED}' }} }} // JSON5",
        f"// who may look\n{{ alice: '{HASHED}', }}",
        f"alice:{HASHED}\n",
        f"# who may look\r\n\r\nalice:{HASHED}\r\n",
        f"basic_auth_users:\n  alice: {HASHED}\n",
        f"---\nbasic_auth_users:\n  'alice': \"{HASHED}\"\n",
    ],
)
def test_users_files(text: str) -> None:
    assert parse_users(text, "users") == {"alice": HASHED}


BAD_LINE = "line 1: write user:$2y$… (htpasswd -nB makes such lines)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no users in it"),
        ("{}", "has no users in it"),
        ("basic_auth_users:\n", "has no users in it"),
        ("PLANTED-SECRET", BAD_LINE),
        ("alice:PLANTED-SECRET", BAD_LINE),
        ("alice:$apr1$PLANTED$SECRET", BAD_LINE),
        ("tls_server_config:\n", BAD_LINE),
        (f":{HASHED}", BAD_LINE),
        (f"alice:{HASHED}\nalice:{HASHED}", "line 2: this user is there twice"),
        ("{alice: PLANTED-SECRET", "is not JSON5"),
        ('{"alice": ["PLANTED-SECRET"]}', 'must be an object of users and their bcrypt hashes: { alice: "$2y$…" }'),
        (
            '{"alice": "PLANTED-SECRET"}',
            'alice: this is no bcrypt hash ("$2y$…"): make one with htpasswd -nB',
        ),
        (f"alice:{HASHED.replace('$04$', '$31$')}", "alice: the bcrypt cost must be from 4 to 16"),
        (f"alice:{HASHED.replace('$04$', '$03$')}", "alice: the bcrypt cost must be from 4 to 16"),
    ],
)
def test_bad_users_files_say_where_and_never_what(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_users(text, "users")
    assert caught.value.problems == [problem]
    assert "PLANTED" not in str(caught.value)


@settings(deadline=None)
@given(st.text())
def test_any_users_file_is_users_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_users(text, "users")


def test_a_users_file_nested_without_end_is_a_sentence() -> None:
    with pytest.raises(ConfigError):
        parse_users('{"a":' * 100_000, "users")


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.write_text(f"alice:{HASHED}\n")
    return file


def replace_file(file: Path, text: str) -> None:
    other = file.with_suffix(".new")
    other.write_text(text)
    os.replace(other, file)


@pytest.fixture
def bcrypts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The comparisons that were made."""
    made: list[tuple[str, str]] = []
    real: Callable[[str, str], bool] = users_module._bcrypt

    def counting(password: str, hashed: str) -> bool:
        made.append((password, hashed))
        return real(password, hashed)

    monkeypatch.setattr(users_module, "_bcrypt", counting)
    return made


async def test_with_users_every_path_needs_one(users_file: Path, bcrypts: list[Any]) -> None:
    board = FakeBoard()
    async with client(create_app(board, web(users_file=str(users_file)))) as browser:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/login", "/nothing", "/probe?target=home"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.text) == (401, "Unauthorized.\n")
            assert answer.headers["www-authenticate"] == 'Basic realm="openclaw-auth-exporter"'
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert board.asked == []
        assert bcrypts == []
        for path in ("/", "/metrics", "/-/healthy"):
            assert (await browser.get(path, auth=("alice", PASSWORD))).status_code == 200
    assert len(bcrypts) == 1  # a right password is remembered


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic YWxpY2U=",  # no colon
        "Basic //79",  # not UTF-8
        "Basic " + "A" * 9000,
        "Digest username=alice",
        "Bearer ",
        "alice",
        "",
    ],
)
async def test_odd_authorization_is_401_without_work(users_file: Path, authorization: str, bcrypts: list[Any]) -> None:
    async with client(create_app(FakeBoard(), web(users_file=str(users_file)))) as browser:
        answer = await browser.get("/metrics", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert bcrypts == []


async def test_an_unknown_user_takes_the_same_work_as_a_known_one(users_file: Path, bcrypts: list[Any]) -> None:
    replace_file(users_file, f"alice:{HASHED}\nbob:{HASHED.replace('$04$', '$05$')}\n")
    async with client(create_app(FakeBoard(), web(users_file=str(users_file)))) as browser:
        for name in ("alice", "nobody"):
            assert (await browser.get("/", auth=(name, "wrong"))).status_code == 401
    assert bcrypts[0] == ("wrong", HASHED)
    assert bcrypts[1][1].startswith("$2b$05$")
    import bcrypt

    # The stand-in is a hash bcrypt works on, and not one it turns down at once.
    assert bcrypt.checkpw(b"wrong", bcrypts[1][1].encode()) is False


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + "x", PASSWORD[:-1], "a\0b", "x" * 100, "ü", "a:b"])
async def test_wrong_passwords(users_file: Path, password: str) -> None:
    users = Users(str(users_file))
    assert not await users.check("alice", password)
    assert not await users.check("nobody", password)
    assert not await users.check("", password)
    assert await users.check("alice", PASSWORD)


async def test_many_who_ask_the_same_at_once_cost_one_comparison(users_file: Path, bcrypts: list[Any]) -> None:
    async with client(create_app(FakeBoard(), web(users_file=str(users_file)))) as browser:
        answers = await asyncio.gather(*(browser.get("/metrics", auth=("alice", PASSWORD)) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(bcrypts) == 1


async def test_guessing_passwords_ends_and_does_not_lock_out_who_is_in(
    users_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(lambda: None, limiter=Limiter(Clock()))
    async with client(create_app(FakeBoard(), web(users_file=str(users_file)), guard)) as browser:
        assert (await browser.get("/metrics", auth=("alice", PASSWORD))).status_code == 200
        # All at once, while the first is being compared: those count as well.
        free = threading.Event()
        monkeypatch.setattr(users_module, "_bcrypt", lambda password, hashed: free.wait(10) and False)
        guesses = [asyncio.ensure_future(browser.get("/", auth=("alice", f"wrong-{n}"))) for n in range(30)]
        while len([guess for guess in guesses if guess.done()]) < 20:
            await asyncio.wait([guess for guess in guesses if not guess.done()], return_when=asyncio.FIRST_COMPLETED)
        free.set()
        statuses = sorted([(await guess).status_code for guess in guesses])
        assert statuses == [401] * 10 + [429] * 20
        assert (await browser.get("/metrics", auth=("alice", PASSWORD))).status_code == 200
        assert (await browser.get("/metrics", auth=("alice", "wrong"))).status_code == 429


async def test_the_users_file_is_read_again_when_it_changes(users_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with client(create_app(FakeBoard(), web(users_file=str(users_file)))) as browser:

        async def status(name: str = "alice") -> int:
            return (await browser.get("/metrics", auth=(name, PASSWORD))).status_code

        assert await status() == 200
        replace_file(users_file, f"bob:{HASHED}\n")
        assert await status() == 401  # though the password was remembered
        assert await status("bob") == 200
        replace_file(users_file, "bob:PLANTED-SECRET\n")
        assert await status("bob") == 503  # nobody gets in by a file that cannot be read
        assert await status("bob") == 503
        os.unlink(users_file)
        assert await status("bob") == 503
        replace_file(users_file, f"alice:{HASHED}\n")
        assert await status() == 200
    assert "PLANTED" not in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"alice:" + b"x" * 1024 * 1024])
def test_a_bad_users_file_is_a_configuration_error_from_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "users"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="users: "):
        create_app(FakeBoard(), web(users_file=str(file)))


async def test_a_user_may_look_and_the_token_may_do_both(users_file: Path) -> None:
    world = World(users_file=str(users_file))
    async with world.browser() as browser:
        assert (await browser.post("/-/reload", auth=("alice", PASSWORD))).status_code == 401
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 200
        assert (await browser.get("/metrics", headers=BEARER)).status_code == 200
        assert (await browser.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        # A browser sends its user with each request, and its session in a cookie.
        browser.auth = httpx.BasicAuth("alice", PASSWORD)
        csrf = await log_in(browser)
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 200


def test_what_is_remembered_holds_no_password(users_file: Path) -> None:
    users = Users(str(users_file))
    assert asyncio.run(users.check("alice", PASSWORD))
    assert PASSWORD not in repr(vars(users))
