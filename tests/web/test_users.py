"""HTTP basic authentication with bcrypt users."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_daemon import BEARER, HASHED, PASSWORD, Clock, FakeDaemon, Site, client, log_in, web
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from waiting import until

from exporter.config import ConfigError
from exporter.web import passwords
from exporter.web import users as users_module
from exporter.web.app import create_app
from exporter.web.limits import AttemptLimiter
from exporter.web.sessions import Guard
from exporter.web.users import Users, parse_users


@pytest.mark.parametrize(
    "text",
    [
        f'{{"alice": "{HASHED}"}}',
        f"{{ basic_auth_users: {{ alice: '{HASHED}' }} }} // JSON5",
        f"// who may read\n{{ alice: '{HASHED}', }}",
        f"alice:{HASHED}\n",
        f"# who may read\r\n\r\nalice:{HASHED}\r\n",
        f"basic_auth_users:\n  alice: {HASHED}\n",
        f"---\nbasic_auth_users:\n  'alice': \"{HASHED}\"\n",
    ],
)
def test_users_files(text: str) -> None:
    assert parse_users(text, "users") == {"alice": HASHED}


BAD_LINE = "line 1: write user:$2y$… (htpasswd -nB prints such lines)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "contains no users"),
        ("{}", "contains no users"),
        ("basic_auth_users:\n", "contains no users"),
        ("PLANTED-SECRET", BAD_LINE),
        ("alice:PLANTED-SECRET", BAD_LINE),
        ("alice:$apr1$PLANTED$SECRET", BAD_LINE),
        ("tls_server_config:\n", BAD_LINE),
        (f":{HASHED}", BAD_LINE),
        (f"alice:{HASHED}\nalice:{HASHED}", "line 2: this user is listed twice"),
        (
            "{alice: PLANTED-SECRET",
            "is not JSON5: line 1, column 9: Unexpected character. A comma or a quote may be missing before it",
        ),
        ('{"alice": ["PLANTED-SECRET"]}', 'must be an object of users and their bcrypt hashes: { alice: "$2y$…" }'),
        (
            '{"alice": "PLANTED-SECRET"}',
            'alice: not a bcrypt hash ("$2y$…"): make one with htpasswd -nB',
        ),
        (f"alice:{HASHED.replace('$04$', '$31$')}", "alice: the bcrypt cost must be from 4 to 18"),
        (f"alice:{HASHED.replace('$04$', '$03$')}", "alice: the bcrypt cost must be from 4 to 18"),
    ],
)
def test_errors_in_a_users_file_name_the_place_and_quote_nothing(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_users(text, "users")
    assert caught.value.problems == [problem]
    assert "PLANTED" not in str(caught.value)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_users(text, "users")


def test_a_deeply_nested_users_file_is_a_configuration_error() -> None:
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


async def test_with_users_every_path_needs_a_password(users_file: Path, bcrypts: list[Any]) -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web(users_file=str(users_file)))) as browser:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/login", "/nothing", "/probe?target=home"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.text) == (401, "Unauthorized.\n")
            assert answer.headers["www-authenticate"] == 'Basic realm="openclaw-auth-exporter"'
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert daemon.calls == []
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
    async with client(create_app(FakeDaemon(), web(users_file=str(users_file)))) as browser:
        answer = await browser.get("/metrics", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert bcrypts == []


async def test_an_unknown_user_costs_as_much_as_a_known_one(users_file: Path, bcrypts: list[Any]) -> None:
    replace_file(users_file, f"alice:{HASHED}\nbob:{HASHED.replace('$04$', '$05$')}\n")
    async with client(create_app(FakeDaemon(), web(users_file=str(users_file)))) as browser:
        for name in ("alice", "nobody"):
            assert (await browser.get("/", auth=(name, "wrong"))).status_code == 401
    known, unknown = bcrypts[:2], bcrypts[2:]
    assert known[0] == ("wrong", HASHED)
    rounds = [sum(2 ** int(hashed[4:6]) for _, hashed in made) for made in (known, unknown)]
    assert rounds == [2**5, 2**5]
    import bcrypt

    # The stand-ins are hashes that bcrypt works on, and does not reject at once.
    assert [bcrypt.checkpw(b"wrong", hashed.encode()) for _, hashed in bcrypts] == [False] * 3


async def test_a_password_of_a_cheaper_hash_takes_as_long_and_is_right(users_file: Path, bcrypts: list[Any]) -> None:
    replace_file(users_file, f"alice:{HASHED}\nbob:{HASHED.replace('$04$', '$07$')}\n")
    assert await Users(str(users_file)).check("alice", PASSWORD)
    assert sum(2 ** int(hashed[4:6]) for _, hashed in bcrypts) == 2**7


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + "x", PASSWORD[:-1], "a\0b", "x" * 100, "ü", "a:b"])
async def test_wrong_passwords(users_file: Path, password: str) -> None:
    users = Users(str(users_file))
    assert not await users.check("alice", password)
    assert not await users.check("nobody", password)
    assert not await users.check("", password)
    assert await users.check("alice", PASSWORD)


async def test_concurrent_requests_with_one_password_cost_one_comparison(users_file: Path, bcrypts: list[Any]) -> None:
    async with client(create_app(FakeDaemon(), web(users_file=str(users_file)))) as browser:
        answers = await asyncio.gather(*(browser.get("/metrics", auth=("alice", PASSWORD)) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(bcrypts) == 1


async def test_wrong_passwords_are_limited_and_the_right_one_is_never_refused(users_file: Path) -> None:
    """All come by one address, as behind a proxy."""
    guard = Guard(lambda: None, limiter=AttemptLimiter(Clock()))
    async with client(create_app(FakeDaemon(), web(users_file=str(users_file)), guard)) as browser:
        statuses = [(await browser.get("/", auth=("alice", f"wrong-{n}"))).status_code for n in range(11)]
        assert statuses == [401] * 10 + [429]
        assert (await browser.get("/metrics", auth=("alice", PASSWORD))).status_code == 200


@pytest.mark.parametrize("addresses", [1, 300])
async def test_300_wrong_passwords_keep_the_right_one_waiting_for_one_comparison(
    users_file: Path, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    free, made = threading.Semaphore(0), []

    def compare(password: str, hashed: str) -> bool:
        free.acquire()
        made.append(password)
        return password == PASSWORD

    monkeypatch.setattr(users_module, "_bcrypt", compare)
    users = Users(str(users_file), AttemptLimiter(Clock()))
    guesses = [asyncio.create_task(users.check("alice", f"wrong-{n}", f"10.0.0.{n % addresses}")) for n in range(300)]
    refused = 300 - passwords.SLOTS - passwords.MAX_WAITING
    await until(lambda: sum(guess.done() for guess in guesses) == refused)
    address = "10.0.0.0" if addresses == 1 else "10.0.1.1"  # that of the guesses, as behind a proxy, or one of its own
    right = asyncio.create_task(users.check("alice", PASSWORD, address))
    await until(lambda: sum(guess.done() for guess in guesses) == refused + 1)
    few = 2 * passwords.SLOTS  # those that run already, and those that run next
    free.release(few)
    assert await right
    assert await users.check("alice", PASSWORD, address)  # remembered: it costs nothing from now on
    assert len(made) <= few
    free.release(1000)
    for result in await asyncio.gather(*guesses, return_exceptions=True):
        assert result is False or (isinstance(result, HTTPException) and result.status_code == 429)


async def test_the_users_file_is_read_again_when_it_changes(users_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with client(create_app(FakeDaemon(), web(users_file=str(users_file)))) as browser:

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
        create_app(FakeDaemon(), web(users_file=str(file)))


async def test_a_user_may_read_and_the_token_may_also_change(users_file: Path) -> None:
    site = Site(users_file=str(users_file))
    async with site.browser() as browser:
        assert (await browser.post("/-/reload", auth=("alice", PASSWORD))).status_code == 401
        assert (await browser.post("/-/reload", headers=BEARER)).status_code == 200
        assert (await browser.get("/metrics", headers=BEARER)).status_code == 200
        assert (await browser.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        # A browser sends its user with each request, and its session in a cookie.
        browser.auth = httpx.BasicAuth("alice", PASSWORD)
        csrf = await log_in(browser)
        assert (await browser.post("/-/reload", data={"csrf": csrf})).status_code == 200


def test_the_cache_contains_no_password(users_file: Path) -> None:
    users = Users(str(users_file))
    assert asyncio.run(users.check("alice", PASSWORD))
    assert PASSWORD not in repr(vars(users))


def test_without_bcrypt_a_users_file_is_an_error_that_names_the_extra(
    users_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        create_app(FakeDaemon(), web(users_file=str(users_file)))
    assert str(caught.value) == (
        "web.users_file: needs bcrypt: install it with pip install 'openclaw-auth-exporter[users]'"
    )
    create_app(FakeDaemon(), web())  # nothing else needs it
