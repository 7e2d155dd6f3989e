"""Which Host headers are accepted."""

from __future__ import annotations

import re

import pytest
from fake_daemon import BEARER, TOKEN, FakeDaemon, client, web
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.app import create_app
from exporter.web.hosts import HostRule, host_of

LOOPBACK = HostRule.of("127.0.0.1", "https://status.example.org/auth")
EVERYWHERE = HostRule("0.0.0.0", "status.example.org", frozenset({"closet.example.net"}))  # noqa: S104 - compared


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "status.example.org"]
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/check"])
def test_on_loopback_our_own_names_are_accepted(host: str, path: str) -> None:
    assert LOOPBACK.allows(host, path)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.5", "8.8.8.8", "rack7", "x.local"]
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/check"])
def test_on_loopback_other_names_are_refused(host: str, path: str) -> None:
    assert not LOOPBACK.allows(host, path)


@pytest.mark.parametrize(
    "host",
    ["192.168.1.5", "10.0.0.1", "fe80::1", "localhost", "rack7", "rack7.local", "rack7.lan", "closet.example.net"],
)
def test_elsewhere_addresses_and_private_names_are_accepted(host: str) -> None:
    assert EVERYWHERE.allows(host, "/")


@pytest.mark.parametrize("host", ["evil.example", "rack7.corp.example.com", "192.168.1.5.nip.io"])
def test_elsewhere_a_public_name_can_only_scrape(host: str) -> None:
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
def test_an_accepted_host_contains_only_safe_characters(header: str) -> None:
    assert re.fullmatch(r"[a-z0-9._:-]+", host_of(header) or "x")


@pytest.mark.parametrize(
    ("host", "status", "text"),
    [
        ("evil.example:10785", 421, "This server is not known as evil.example: set web.external_url to the address"),
        ("<script>", 400, "The Host header is malformed."),
    ],
)
async def test_a_foreign_host_is_refused_everywhere(host: str, status: int, text: str) -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web(token=TOKEN))) as browser:
        for method, path in (("GET", "/"), ("GET", "/metrics"), ("POST", "/api/v1/check"), ("POST", "/login")):
            answer = await browser.request(method, path, headers=BEARER | {"Host": host})
            assert answer.status_code == status
            assert answer.text.startswith(text)
            assert answer.headers["x-frame-options"] == "DENY"
    assert daemon.calls == []
