"""Which Host headers are accepted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fake_daemon import BEARER, TOKEN, FakeDaemon, client, web
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Web
from exporter.web.app import create_app
from exporter.web.hosts import HostRule, host_of

LOOPBACK = HostRule.of(["127.0.0.1"], "https://status.example.org/auth")
OWN = frozenset({"closet.example.net"})
SECOND = HostRule.of(["127.0.0.1", "10.0.0.5"], "https://status.example.org/auth")
EVERYWHERE = HostRule(frozenset({"0.0.0.0"}), own_names=OWN)  # noqa: S104 - compared
CONFIGURED = HostRule(frozenset({"0.0.0.0"}), frozenset({"status.example.org", "gw2.example.org"}), OWN)  # noqa: S104 - compared
PATHS = ("/", "/metrics", "/probe", "/sd", "/-/healthy", "/-/ready", "/api/v1/status", "/calendar.ics", "/nothing")


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
    for path in PATHS:
        assert EVERYWHERE.allows(host, path)
        assert CONFIGURED.allows(host, path)


@pytest.mark.parametrize("host", ["evil.example", "rack7.corp.example.com", "192.168.1.5.nip.io"])
def test_elsewhere_a_public_name_can_only_scrape_while_no_name_is_configured(host: str) -> None:
    for path in ("/metrics", "/probe", "/sd", "/-/healthy", "/-/ready"):
        assert EVERYWHERE.allows(host, path)
    for path in ("/", "/api/v1/status", "/api/v1/check", "/login", "/-/reload", "/metrics/"):
        assert not EVERYWHERE.allows(host, path)
    for path in PATHS:
        assert not CONFIGURED.allows(host, path)
        assert CONFIGURED.allows("status.example.org", path)
        assert CONFIGURED.allows("gw2.example.org", path)


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
        ("evil.example:10785", 421, "This server is not known as evil.example: add the name to web.hosts, or set"),
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


@pytest.mark.parametrize("keys", [{"external_url": "https://status.example.org"}, {"hosts": ("Status.Example.org",)}])
async def test_once_names_are_configured_every_route_checks_the_host(keys: dict[str, Any]) -> None:
    daemon = FakeDaemon()
    app = create_app(daemon, web(token=TOKEN, listen="0.0.0.0:10785", **keys))
    routes = {"/act/x"} | {path for path in PATHS if path != "/nothing"}
    async with client(app) as browser:
        for path in sorted(routes):
            answer = await browser.get(path, headers=BEARER | {"Host": "evil.example"})
            assert (path, answer.status_code) == (path, 421)
        assert daemon.calls == []
        answer = await browser.get("/metrics", headers={"Host": "status.example.org:10785"})
        assert answer.status_code == 200


@pytest.mark.parametrize("host", ["https://rack7.example", "rack7.example:10785", "", "a b", "rack7/metrics"])
def test_a_configured_host_is_a_bare_name(host: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host name: write it without scheme and port"):
        Web(hosts=(host,))


def test_with_one_address_beyond_loopback_the_rule_is_that_of_a_network() -> None:
    assert [host for host in ("10.0.0.5", "10.0.0.9", "127.0.0.1") if not SECOND.allows(host, "/")] == []
    assert not SECOND.allows("evil.example.org", "/")
    assert not HostRule.of(["127.0.0.1", "localhost", "::1"], "").allows("10.0.0.5", "/")
