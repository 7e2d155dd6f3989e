"""A web configuration file: what exporter-toolkit's documentation promises, and what this server cannot do.

tests/real/test_exporter_toolkit.py has exporter-toolkit's own examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, needs_openssl
from fake_daemon import BEARER, HASHED, PASSWORD, TOKEN, Clock, FakeDaemon, client, web
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from web_config_files import require_usable, serving

from exporter.config import ConfigError
from exporter.config.web_config_file import HEADERS, RateLimit, parse_web_config
from exporter.web.app import create_app
from exporter.web.server import WebServer
from exporter.web.web_config import RequestLimit

# --- TLS ---------------------------------------------------------------------------------------


class Tls:
    """A server's certificate and two clients' in a folder, beside which a web configuration names them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "web.yml"
        self.authority = Authority(folder / "ca")
        cert, key = self.authority.issue("server")
        self.pem = f"cert_file: ca/{cert.name}, key_file: ca/{key.name}"
        self.inline = {"cert": cert.read_text(), "key": key.read_text()}
        self.clients = {name: self.authority.issue(name, names=f"DNS:{name}") for name in ("prometheus", "stranger")}

    def write(self, settings: str = "") -> Path:
        replace(self.file, f"tls_server_config: {{ {self.pem}{settings and ', '}{settings} }}\n")
        return self.file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def connected(server: WebServer, client: tuple[Path, Path] | None = None, **settings: Any) -> tuple[bytes, str]:
    """The beginning of an answer over TLS, and the cipher suite. Raises OSError if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(*client)
    if settings.get("old"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "ciphers" in settings:
        context.set_ciphers(settings["ciphers"])
    if "curve" in settings:
        context.set_ecdh_curve(settings["curve"])
    with socket.create_connection(server.addresses[0], 10) as plain, context.wrap_socket(plain) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = sock.recv(12)
        suite = sock.cipher()
        assert suite is not None
        return answer, suite[0]


OK = b"HTTP/1.1 200"
CBC = "ECDHE-ECDSA-AES256-SHA"
GCM_128, GCM_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
BOTH = "[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]"
VERIFIED = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca/ca.pem"


@needs_openssl
@pytest.mark.parametrize(
    ("settings", "client", "keys", "suite"),
    [
        ("", None, {}, "TLS_AES_256_GCM_SHA384"),
        ("", None, {"old": True}, None),
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]", None, {"old": True, "ciphers": CBC}, CBC),
        (f"cipher_suites: {BOTH}, max_version: TLS12", None, {"ciphers": f"{GCM_256}:{GCM_128}"}, GCM_128),
        (
            f"cipher_suites: {BOTH}, max_version: TLS12, prefer_server_cipher_suites: false",
            None,
            {"ciphers": f"{GCM_256}:{GCM_128}"},
            GCM_256,
        ),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", None, {}, None),  # TLS 1.3, where suites cannot be chosen
        ("curve_preferences: [CurveP521]", None, {"curve": "secp521r1"}, None),
        ("client_auth_type: NoClientCert", "stranger", {}, None),
        ("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca/ca.pem", None, {}, None),
        (VERIFIED, "stranger", {}, None),
        (f"{VERIFIED}, client_allowed_sans: [other, prometheus]", "prometheus", {}, None),
    ],
)
async def test_a_client_gets_in(
    files: Tls, settings: str, client: str | None, keys: dict[str, Any], suite: str | None
) -> None:
    async with serving(files.write(settings)) as server:
        shown = None if client is None else files.clients[client]
        answer, used = await asyncio.to_thread(lambda: connected(server, shown, **keys))
        assert (answer, suite or used) == (OK, used)


@needs_openssl
@pytest.mark.parametrize(
    ("settings", "client", "keys"),
    [
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", None, {"old": True, "ciphers": GCM_256}),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", None, {"old": True}),
        ("min_version: TLS13", None, {"old": True}),
        ("curve_preferences: [CurveP521]", None, {"curve": "secp384r1"}),
        ("client_auth_type: VerifyClientCertIfGiven", "stranger", {}),  # of no authority of this system
        ("client_auth_type: RequireAndVerifyClientCert", None, {}),
        (VERIFIED, None, {}),
        (f"{VERIFIED}, client_allowed_sans: [other, prometheus]", "stranger", {}),
    ],
)
async def test_a_client_is_refused(files: Tls, settings: str, client: str | None, keys: dict[str, Any]) -> None:
    async with serving(files.write(settings)) as server:
        shown = None if client is None else files.clients[client]
        try:
            answer, _ = await asyncio.to_thread(lambda: connected(server, shown, **keys))
        except OSError:
            return
        assert answer == b""


@needs_openssl
async def test_certificates_as_text_work_and_are_in_no_file(files: Tls, tmp_path: Path) -> None:
    client_ca = {"client_ca": files.authority.cert.read_text(), "client_auth_type": "RequireAndVerifyClientCert"}
    file = tmp_path / "web.yml"
    file.write_text(json.dumps({"tls_server_config": {**files.inline, **client_ca}}))  # JSON is YAML
    async with serving(file) as server:
        assert (await asyncio.to_thread(connected, server, files.clients["prometheus"]))[0] == OK
        with pytest.raises((OSError, AssertionError)):
            assert (await asyncio.to_thread(connected, server))[0] == OK
    assert os.listdir(tmp_path) == ["web.yml"]


@needs_openssl
async def test_a_changed_file_takes_effect_on_the_next_connection(
    files: Tls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exporter.web.certificates.COMPARE_PATIENCE", 30.0)
    async with serving(files.write()) as server:

        async def gets_in() -> bool:
            try:
                return (await asyncio.to_thread(connected, server))[0] == OK
            except OSError:
                return False

        assert await gets_in()
        replace(files.file, "basic_auth_users: {}\n")
        assert await gets_in()
        assert "the old certificates stay in use: " in caplog.text
        assert "tls_server_config is gone" in caplog.text
        files.write(VERIFIED)
        assert not await gets_in()


@needs_openssl
@pytest.mark.parametrize("text", ["", "# only a comment\n", "tls_server_config: {PEM}\n"])
async def test_client_certificates_stay_required_when_the_file_names_them_no_more(
    files: Tls, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An editor may empty the file before it writes it, and a disk may be full."""
    monkeypatch.setattr("exporter.web.certificates.COMPARE_PATIENCE", 30.0)
    async with serving(files.write(VERIFIED)) as server:
        replace(files.file, text.replace("PEM", files.pem))
        with pytest.raises((OSError, AssertionError)):
            assert (await asyncio.to_thread(connected, server))[0] == OK
        assert "the old certificates stay in use: " in caplog.text
        files.write(VERIFIED)
        assert (await asyncio.to_thread(connected, server, files.clients["prometheus"]))[0] == OK


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


# --- users -----------------------------------------------------------------------------------


async def test_a_file_without_users_asks_for_none_until_it_has_some(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("")  # one of exporter-toolkit's examples
    async with client(create_app(FakeDaemon(), web(config_file=str(file)))) as browser:
        assert (await browser.get("/metrics")).status_code == 200
        replace(file, f"basic_auth_users: {{bob: '{HASHED}'}}\n")
        assert (await browser.get("/metrics")).status_code == 401
        replace(file, "")
        assert (await browser.get("/metrics")).status_code == 503


async def test_no_part_of_a_file_with_users_opens_the_door(tmp_path: Path) -> None:
    whole = f"basic_auth_users:\n  bob: {HASHED}\n  eve: {HASHED}\nhttp_server_config: {{}}\n"
    file = tmp_path / "web.yml"
    file.write_text(whole)
    async with client(create_app(FakeDaemon(), web(config_file=str(file)))) as browser:
        for length in range(len(whole)):
            replace(file, whole[:length])
            assert (await browser.get("/metrics")).status_code in (401, 503), whole[:length]


async def test_users_change_with_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n  no: {HASHED}\n")  # YAML's false, and a name like any other
    async with client(create_app(FakeDaemon(), web(config_file=str(file), token=TOKEN))) as browser:

        async def status(**keys: Any) -> int:
            return (await browser.get("/metrics", **keys)).status_code

        assert await status() == 401
        assert await status(auth=("no", PASSWORD)) == 200
        assert await status(headers=BEARER) == 200
        replace(file, f"basic_auth_users: {{bob: '{HASHED}'}}\n")
        assert [await status(auth=(name, PASSWORD)) for name in ("no", "bob")] == [401, 200]
        for emptied in ("", "# nothing\n", "basic_auth_users:\n", "http_server_config: {}\n"):
            replace(file, emptied)  # an editor may empty the file before it writes it, and a disk may be full
            assert [await status(), await status(auth=("bob", PASSWORD)), await status(headers=BEARER)] == [503] * 3
        replace(file, "basic_auth_users: {bob: PLANTED-SECRET}\n")
        assert await status() == 503
        replace(file, "basic_auth_usres: {}\n")
        assert [await status(), await status()] == [503, 503]
        file.unlink()
        assert await status(headers=BEARER) == 503
        replace(file, f"basic_auth_users: {{bob: '{HASHED}'}}\n")
        assert await status(auth=("bob", PASSWORD)) == 200
    assert "basic_auth_usres is no key of a web configuration file; did you mean 'basic_auth_users'?" in caplog.text
    assert "PLANTED" not in caplog.text


# --- headers and rate limit ------------------------------------------------------------------


async def test_headers_of_the_file_are_on_every_answer_and_change_with_it(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(
        "http_server_config: { headers: {\n"
        "  X-Frame-Options: sameorigin, X-Content-Type-Options: nosniff, X-XSS-Protection: 1,\n"
        "  Strict-Transport-Security: max-age=86400, Content-Security-Policy: 'default-src https:' } }\n"
    )
    async with client(create_app(FakeDaemon(), web(config_file=str(file)))) as browser:
        for path, status in (("/", 200), ("/metrics", 200), ("/nothing", 404)):
            answer = await browser.get(path)
            assert answer.status_code == status
            assert {name: answer.headers[name] for name in HEADERS} == {
                "Content-Security-Policy": "default-src https:",
                "Strict-Transport-Security": "max-age=86400",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "sameorigin",
                "X-XSS-Protection": "1",
            }
        replace(file, "http_server_config: { headers: { X-Frame-Options: '' } }\n")
        answer = await browser.get("/")
        assert "Strict-Transport-Security" not in answer.headers
        assert answer.headers["X-Frame-Options"] == "DENY"  # our own


async def test_the_rate_limit_is_a_token_bucket() -> None:
    clock = Clock()
    limit = RequestLimit(RateLimit(2.0, 3), clock)

    async def accepted() -> int:
        count = 0
        with contextlib.suppress(HTTPException):
            while True:
                await limit.check({})
                count += 1
        return count

    assert await accepted() == 3
    with pytest.raises(HTTPException) as caught:
        await limit.check({})
    assert (caught.value.status_code, caught.value.headers) == (429, {"Retry-After": "2"})
    clock.now += 4.1
    assert await accepted() == 2
    clock.now += 1000
    assert await accepted() == 3


@pytest.mark.parametrize(
    ("limit", "answered"),
    [("interval: 0, burst: 0", 10), ("interval: 1h", 0), ("interval: 1h, burst: 4", 4)],
)
async def test_requests_beyond_the_rate_limit_are_refused(limit: str, answered: int, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"rate_limit: {{ {limit} }}\n")
    async with client(create_app(FakeDaemon(), web(config_file=str(file)))) as scraper:
        statuses = [(await scraper.get("/metrics")).status_code for _ in range(10)]
    assert statuses == [200] * answered + [429] * (10 - answered)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("words", "the file must have keys and values"),
        (
            "tls_server_config: {cert_filse: a}",
            "tls_server_config.cert_filse is no key of a web configuration file; did",
        ),
        ("tls_server_config: {cert_file: '', key_file: b}", "tls_server_config: cert_file or cert is missing"),
        ("tls_server_config: {cert_file: a, key: ''}", "tls_server_config: key_file or key is missing"),
        ("tls_server_config: {cert_file: a, key_file: b}", "a cannot be read: No such file or directory"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS111}", "min_version: TLS111 is unknown"),
        ("tls_server_config: {cert_file: a, key_file: b, curve_preferences: [CurveP257]}", "did you mean 'CurveP256'?"),
        (
            "tls_server_config: {cert_file: a, key_file: b, curve_preferences: [CurveP256, CurveP384]}",
            "curve_preferences: this server accepts one curve",
        ),
        ("tls_server_config: {cert_file: a, key_file: b, cipher_suites: [AES]}", "cipher_suites: AES is unknown"),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}",
            "RequestClientCert asks for a certificate and does not verify it, which this server cannot; use Require",
        ),
        ("http_server_config: {headers: {Content-Type: a}}", "headers: the HTTP header Content-Type cannot be set"),
        ("http_server_config: {headers: {X-Content-Type-Options: sniff}}", "X-Content-Type-Options must be nosniff"),
        ("http_server_config: {headers: {X-Frame-Options: foo}}", "X-Frame-Options must be deny or sameorigin"),
        ("basic_auth_users: {john: PLANTED-SECRET}", "john: not a bcrypt hash"),
        ("http_server_config: {http2: true}", "http2: this server speaks HTTP/1.1 only; remove the key or set it to f"),
        ("http_server_config: {http2: maybe}", "http_server_config.http2 must be true or false"),
        ("http_server_config: {headers: {X-Frame-Options: [a]}}", "headers.X-Frame-Options must be one value"),
        ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nA: b"}}', "X-XSS-Protection must be one line of"),
        ("tls_server_config: {client_auth_type: Require}", "tls_server_config: cert_file or cert is missing"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", "TLS 1.2 and 1.3 only, not TLS10"),
        ("tls_server_config: {cert_file: a, key_file: b, max_version: TLS11}", "TLS 1.2 and 1.3 only, not TLS11"),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
            "tls_server_config: min_version is above max_version",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [TLS_AES_128_GCM_SHA256], "
            "max_version: TLS12}",
            "tls_server_config: min_version is above max_version",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [x]}",
            "without a client_auth_type no client certificate is asked for",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: NoClient}",
            "client_auth_type: NoClient is unk",
        ),
        ("tls_server_config: [a]", "tls_server_config must have keys and values"),
        ("tls_server_config: {cert_file: a, key_file: b, cipher_suites: a}", "cipher_suites must be a list"),
        ("rate_limit: {interval: soon}", "rate_limit.interval: 'soon' is no duration"),
        ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst must be a number of requests"),
        ("rate_limit: {intervall: 1s}", "rate_limit.intervall is no key of a web configuration file; did you mean"),
        ("basic_auth_users: {alice: [PLANTED-SECRET]}", "basic_auth_users.alice must be a bcrypt hash"),
        ("basic_auth_users: PLANTED-SECRET", "basic_auth_users must have keys and values"),
        ("basic_auth_users: {a: PLANTED-SECRET, a: b}", "line 1: a key is no text, or is there twice"),
        ("{[a]: PLANTED-SECRET}", "line 1: a key is no text, or is there twice"),
        ("a: [PLANTED-SECRET", "is not YAML at line 1"),
        ("[" * 1100, "is not YAML"),
        ("tls_server_config: {cert: PLANTED-SECRET, key: PLANTED-SECRET}", "cert and key do not work together: "),
    ],
)
def test_a_refusal_names_the_key_and_quotes_no_secret(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        require_usable(file)
    assert problem in str(caught.value)
    assert "PLANTED" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"(tls_server_config|rate_limit|basic_auth_users):\n?( *[a-z_]*:? ?.*\n)*"))
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_web_config(text, Path("web.yml"))


@pytest.mark.parametrize(
    ("missing", "text", "sentence"),
    [
        ("yaml", "{}", "web.config_file: needs PyYAML: install it with pip install 'openclaw-auth-exporter[users]'"),
        (
            "bcrypt",
            f"basic_auth_users: {{a: '{HASHED}'}}",
            "web.config_file: needs bcrypt: install it with pip install 'openclaw-auth-exporter[users]'",
        ),
    ],
)
def test_a_missing_extra_is_named(
    missing: str, text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(ConfigError) as caught:
        require_usable(file)
    assert str(caught.value) == sentence
    if missing == "bcrypt":
        file.write_text("rate_limit: {interval: 0}")
        require_usable(file)  # only users need it
