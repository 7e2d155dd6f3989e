"""exporter-toolkit's own examples of web configuration files: used, or refused by name where Python's TLS cannot.

Each is here, with what exporter-toolkit's own tests expect of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.config import ConfigError, Web
from exporter.config.web_config_file import CURVES
from exporter.web.app import create_app
from exporter.web.server import WebServer

from .conftest import need

sys.path.append(str(Path(__file__).parents[1] / "web"))
from fake_daemon import FakeDaemon, client
from web_config_files import require_usable, serving

pytestmark = pytest.mark.real

#: File -> a sentence of the refusal; None: it is used.
EXAMPLES: dict[str, str | None] = {
    "web_config_empty.yml": None,
    "web_config_junk.yml": "the file must have keys and values",
    "web_config_junk_key.yml": "tls_server_config.cert_filse is no key of a web configuration file; "
    "did you mean 'cert_file'?",
    "web_config_noAuth_certPath_empty.bad.yml": "tls_server_config: cert_file or cert is missing",
    "web_config_noAuth_cert_empty.bad.yml": "tls_server_config: cert_file or cert is missing",
    "web_config_noAuth_keyPath_empty.bad.yml": "tls_server_config: key_file or key is missing",
    "web_config_noAuth_key_empty.bad.yml": "tls_server_config: key_file or key is missing",
    "web_config_noAuth_certPath_keyPath_empty.bad.yml": "tls_server_config: cert_file or cert is missing",
    "web_config_noAuth_certPath_invalid.bad.yml": "somefile cannot be read: No such file or directory",
    "web_config_noAuth_keyPath_invalid.bad.yml": "server.cert cannot be read: No such file or directory",
    "web_config_noAuth_certPath_keyPath_invalid.bad.yml": "somefile cannot be read: No such file or directory",
    "web_config_noAuth.bad.yml": "tls_server_config: without a client_auth_type no client certificate is asked for",
    "web_config_auth_clientCAs_invalid.bad.yml": "without a client_auth_type no client certificate is asked for",
    # Named bad, but exporter-toolkit does not test it; without a CA it takes those of the system, as here.
    "web_config_auth_clientCAs_missing.bad.yml": None,
    "web_config_auth_user_list_invalid.bad.yml": "john: not a bcrypt hash",
    "web_config_noAuth_inventedCiphers.bad.yml": "cipher_suites: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048 is unknown",
    "web_config_noAuth_inventedCurves.bad.yml": "curve_preferences: CurveP257 is unknown; did you mean 'CurveP256'?",
    "web_config_noAuth_wrongTLSVersion.bad.yml": "tls_server_config.min_version: TLS111 is unknown",
    "web_config_noAuth.good.yml": None,
    "web_config_noAuth.good.blocking.yml": None,
    "web_config_noAuth_tlsInline.good.yml": None,
    "web_config_noAuth_allCiphers.good.yml": None,
    "web_config_noAuth_someCiphers.good.yml": None,
    "web_config_noAuth_someCiphers_noOrder.good.yml": None,
    "web_config_noAuth_someCurves.good.yml": None,
    "web_config_noAuth_noHTTP2.good.yml": None,
    # Bad only because HTTP/2 needs another cipher suite. This server does not offer HTTP/2.
    "web_config_noAuth_noHTTP2Cipher.bad.yml": None,
    "web_config_headers.good.yml": None,
    "web_config_headers_content_type_options.bad.yml": "headers.X-Content-Type-Options must be nosniff",
    "web_config_headers_frame_options.bad.yml": "headers.X-Frame-Options must be deny or sameorigin",
    "web_config_headers_extra_header.bad.yml": "headers: the HTTP header Content-Type cannot be set",
    "tls_config_noAuth.requireandverifyclientcert.good.yml": None,
    "web_config_auth_client_san.good.yaml": None,
    "web_config_auth_client_san.bad.yaml": None,  # a client is refused, below
    "web_config_rate_limiter_nonblocking.yaml": None,
    "web_config_rate_limiter_one_second.yaml": None,
    "web_config_users.good.yml": None,
    "web_config_users_noTLS.good.yml": None,
    # What Python's TLS cannot do, by name.
    "web_config_noAuth_allCurves.good.yml": "tls_server_config.curve_preferences: this server accepts one curve",
    "tls_config_noAuth.requireanyclientcert.good.yml": "client_auth_type: RequireAnyClientCert asks for a certificate "
    "and does not verify it, which this server cannot",
    "tls_config_noAuth.requireanyclientcertkeyinline.good.yml": "client_auth_type: RequireAnyClientCert asks for",
}


@pytest.fixture(scope="module")
def toolkit() -> Path:
    """The folder of the examples, with their certificates and keys."""
    return need("exporter-toolkit")


def test_every_example_is_here(toolkit: Path) -> None:
    assert set(EXAMPLES) == {path.name for path in toolkit.iterdir() if path.suffix in (".yml", ".yaml")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_used_or_refused_by_name(toolkit: Path, name: str) -> None:
    wanted = EXAMPLES[name]
    if wanted is None:
        require_usable(toolkit / name)
        return
    with pytest.raises(ConfigError) as caught:
        require_usable(toolkit / name)
    assert str(caught.value).startswith(f"{toolkit / name}: ")
    assert wanted in str(caught.value)


def connected(server: WebServer, certificate: Path | None = None, **settings: Any) -> tuple[bytes, tuple[str, str]]:
    """The beginning of an answer over TLS, the cipher suite and the version. Raises OSError if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # OpenSSL refuses the examples' authority
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if "maximum_version" in settings:
        context.maximum_version = settings["maximum_version"]
    if "ciphers" in settings:
        context.set_ciphers(settings["ciphers"])
    if "curve" in settings:
        context.set_ecdh_curve(settings["curve"])
    with (
        socket.create_connection(server.addresses[0], 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = sock.recv(12)
        suite = sock.cipher()
        assert suite is not None
        return answer, (suite[0], suite[1])


def in_folder(toolkit: Path, settings: dict[str, Any]) -> dict[str, Any]:
    named = settings.get("certificate")
    return settings if named is None else {**settings, "certificate": toolkit / f"{named}.pem"}


OK = b"HTTP/1.1 200"
OLD_CLIENT: dict[str, Any] = {"maximum_version": ssl.TLSVersion.TLSv1_2}
GCM_128, GCM_256 = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(
    ("name", "settings", "suite"),
    [
        ("web_config_noAuth.good.yml", {}, None),
        ("web_config_noAuth_tlsInline.good.yml", {}, None),
        ("web_config_noAuth_allCiphers.good.yml", OLD_CLIENT, None),
        ("web_config_noAuth_someCiphers.good.yml", {"ciphers": GCM_128}, GCM_128),
        ("web_config_noAuth_someCiphers.good.yml", {"ciphers": f"{GCM_256}:{GCM_128}"}, GCM_128),
        ("web_config_noAuth_someCiphers_noOrder.good.yml", {"ciphers": f"{GCM_128}:{GCM_256}"}, GCM_128),
        ("web_config_noAuth_someCurves.good.yml", {"curve": CURVES["CurveP521"]}, None),
        ("web_config_noAuth_noHTTP2.good.yml", {}, GCM_256),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", {"certificate": "client_selfsigned"}, None),
        ("web_config_auth_client_san.good.yaml", {"certificate": "client2_selfsigned"}, None),
    ],
)
async def test_a_client_gets_in(toolkit: Path, name: str, settings: dict[str, Any], suite: str | None) -> None:
    async with serving(toolkit / name) as server:
        answer, (used, _) = await asyncio.to_thread(lambda: connected(server, **in_folder(toolkit, settings)))
        assert answer == OK
        assert suite in (None, used)
        with contextlib.suppress(httpx.RemoteProtocolError):  # not TLS: no answer but a closed connection
            async with httpx.AsyncClient() as plain:
                assert (await plain.get(server.url.replace("https", "http"))).status_code == 400


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("web_config_noAuth_someCiphers.good.yml", {"ciphers": "ECDHE-RSA-AES256-SHA", **OLD_CLIENT}),
        ("web_config_noAuth_someCurves.good.yml", {"curve": CURVES["CurveP384"]}),
        ("web_config_noAuth_someCurves.good.yml", OLD_CLIENT),
        ("web_config_noAuth.good.yml", {"certificate": "client_selfsigned"}),  # of no authority of this system
        ("web_config_noAuth.good.blocking.yml", {}),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", {}),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", {"certificate": "client2_selfsigned"}),
        ("web_config_auth_client_san.bad.yaml", {"certificate": "client2_selfsigned"}),
    ],
)
async def test_a_client_is_refused(toolkit: Path, name: str, settings: dict[str, Any]) -> None:
    async with serving(toolkit / name) as server:
        try:
            answer, _ = await asyncio.to_thread(lambda: connected(server, **in_folder(toolkit, settings)))
        except OSError:
            return
        assert answer == b""


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("web_config_users_noTLS.good.yml", {401}),
        ("web_config_rate_limiter_nonblocking.yaml", {200}),
        ("web_config_rate_limiter_one_second.yaml", {429}),  # its burst is 0, so nothing passes
        ("web_config_headers.good.yml", {200}),
    ],
)
async def test_answers_without_a_password(toolkit: Path, name: str, statuses: set[int]) -> None:
    async with client(create_app(FakeDaemon(), Web(config_file=str(toolkit / name)))) as scraper:
        assert {(await scraper.get("/metrics")).status_code for _ in range(10)} == statuses


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [("dave", "dave123", 200), ("carol", "carol123", 200), ("dave", "bad", 401), ("nonexistent", "nonexistent", 401)],
)
async def test_the_users_of_the_examples(toolkit: Path, tmp_path: Path, user: str, password: str, status: int) -> None:
    """Without bob, whose hash takes more than a minute of this machine."""
    lines = (toolkit / "web_config_users_noTLS.good.yml").read_text().splitlines()
    file = tmp_path / "web.yml"
    file.write_text("\n".join(line for line in lines if "bob" not in line))
    async with client(create_app(FakeDaemon(), Web(config_file=str(file)))) as scraper:
        assert (await scraper.get("/metrics", auth=(user, password))).status_code == status
