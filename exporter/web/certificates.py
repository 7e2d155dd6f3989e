"""The server side of TLS, whose files are read again when they change."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import ssl
import threading
from pathlib import Path
from typing import Any

from exporter.config import ConfigError, Tls, Web, expand
from exporter.config.web_config_file import TlsServer
from exporter.lib.files import MIB, read_regular
from exporter.web.web_config import CurrentWebConfig

log = logging.getLogger(__name__)

#: How long a connection waits for the comparison of the certificates' files, in seconds: once while it hangs.
COMPARE_PATIENCE = 0.05
MAX_CERTIFICATES = 16 * MIB

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def certificates_of(web: Web) -> Certificates | None:
    """The certificates of ``web.tls`` or ``web.config_file``; None without TLS. Raises ConfigError."""
    if web.tls.cert_file:
        return Certificates(OwnTls(web.tls))
    if web.config_file:
        source = ConfigFileTls(web.config_file)
        return Certificates(source) if source.is_configured() else None
    return None


class OwnTls:
    """``web.tls`` of our configuration."""

    where = "web.tls"

    def __init__(self, tls: Tls) -> None:
        self._settings = TlsServer(
            cert_file=str(expand(tls.cert_file)),
            key_file=str(expand(tls.key_file)),
            client_ca_file=tls.client_ca_file and str(expand(tls.client_ca_file)),
            client_auth="required" if tls.client_ca_file else "none",
        )

    def files(self) -> list[str]:
        return _files(self._settings)

    def read(self) -> TlsServer:
        return self._settings


class ConfigFileTls:
    """``tls_server_config`` of a web configuration file."""

    def __init__(self, path: str) -> None:
        self._config = CurrentWebConfig(path)
        self.where = str(self._config.path)
        self._last = TlsServer()

    def is_configured(self) -> bool:
        """Whether the file has TLS. Raises ConfigError."""
        return self._config.read().tls is not None

    def files(self) -> list[str]:
        return [str(self._config.path), *_files(self._last)]

    def read(self) -> TlsServer:
        settings = self._config.read().tls
        if settings is None:
            raise ConfigError(self.where, ["tls_server_config is gone: to serve without TLS, restart the exporter"])
        self._last = settings
        return settings


def _files(tls: TlsServer) -> list[str]:
    return [file for file in (tls.cert_file, tls.key_file, tls.client_ca_file) if file]


class Certificates(ssl.SSLContext):
    """The server side of TLS: version 1.2 or later, with client certificates if they are configured.

    For every connection a thread compares the files and reads them again if they have changed. While they cannot be
    used, as in the middle of a rotation, the old ones stay in use; no connection waits for a file system that hangs.
    Each change makes a new context: a context that is loaded twice keeps the first certificate if the kind of key
    differs, and resumes sessions that an old CA had allowed.
    """

    def __new__(cls, source: OwnTls | ConfigFileTls) -> Certificates:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, source: OwnTls | ConfigFileTls) -> None:
        """Raises ConfigError if the files cannot be used."""
        self._source = source
        self._current = self._load()
        self._current_signature = self._signature()
        self._comparing: threading.Thread | None = None

    def wrap_bio(self, *args: Any, **keys: Any) -> ssl.SSLObject:
        """asyncio calls this for each connection."""
        if self._comparing is None or not self._comparing.is_alive():
            self._comparing = threading.Thread(target=self._compare, name="certificates", daemon=True)
            self._comparing.start()
            self._comparing.join(COMPARE_PATIENCE)
        return self._current.wrap_bio(*args, **keys)

    def _compare(self) -> None:
        signature = self._signature()
        if signature != self._current_signature:
            self._current_signature = signature
            try:
                self._current = self._load()
                self._current_signature = self._signature()  # of the files that are named now
                log.info("web: the certificates were reloaded")
            except ConfigError as error:
                log.error("web: the old certificates stay in use: %s", error)

    def _signature(self) -> list[tuple[int, int, int] | None]:
        signature: list[tuple[int, int, int] | None] = []
        for file in self._source.files():
            try:
                stat = os.stat(file)
                signature.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                signature.append(None)
        return signature

    def _load(self) -> ssl.SSLContext:
        tls = self._source.read()
        where = self._source.where
        for file in _files(tls):
            try:
                read_regular(Path(file), MAX_CERTIFICATES)  # OpenSSL would wait for the writer of a pipe
            except OSError as error:
                raise ConfigError(where, [f"{file} cannot be read: {error.strerror}"]) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
        context.set_alpn_protocols(["http/1.1"])
        if not tls.prefers_own_ciphers:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        with contextlib.ExitStack() as texts:
            cert = tls.cert_file or _as_file(tls.cert, where, texts)
            key = tls.key_file or _as_file(tls.key, where, texts)
            try:
                context.load_cert_chain(cert, key, password=_no_password)
            except (ssl.SSLError, ValueError) as error:
                pair = f"{tls.cert_file or 'cert'} and {tls.key_file or 'key'}"
                raise ConfigError(where, [f"{pair} do not work together: {_why_not(error)}"]) from None
        try:
            if tls.ciphers:
                context.set_ciphers(":".join(tls.ciphers))
            if tls.curve:
                context.set_ecdh_curve(tls.curve)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(where, [f"OpenSSL of this machine refuses its ciphers or curve: {error}"]) from None
        self._set_client_auth(context, tls)
        return context

    def _set_client_auth(self, context: ssl.SSLContext, tls: TlsServer) -> None:
        if tls.client_auth == "none":
            return
        try:
            if tls.client_ca_file or tls.client_ca:
                context.load_verify_locations(tls.client_ca_file or None, cadata=tls.client_ca or None)
            else:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        except ssl.SSLError as error:
            named = tls.client_ca_file or "client_ca"
            raise ConfigError(self._source.where, [f"{named} is not a CA certificate: {error.reason}"]) from None
        context.verify_mode = _CLIENT_AUTH[tls.client_auth]
        if tls.allowed_sans is not None:
            context.sslobject_class = _only_clients_named(tls.allowed_sans)


def _only_clients_named(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    class Named(ssl.SSLObject):
        """Ends the handshake of a client whose certificate has none of the allowed names."""

        def do_handshake(self) -> None:
            super().do_handshake()
            shown = self.getpeercert()
            if shown and not allowed & _names_of(shown):
                raise ssl.SSLCertVerificationError("the client's certificate has no allowed name")

    return Named


def _names_of(certificate: Any) -> set[str]:
    """The subject alternative names of a certificate, addresses in their usual spelling."""
    names = set()
    for kind, value in certificate.get("subjectAltName", ()):
        with contextlib.suppress(ValueError):
            names.add(str(ipaddress.ip_address(value.strip())) if kind == "IP Address" else value)
    return names


def _as_file(pem: str, where: str, texts: contextlib.ExitStack) -> str:
    """A file in memory, because Python's TLS reads certificate and key from files. It ends with ``texts``."""
    if not hasattr(os, "memfd_create"):
        raise ConfigError(where, ["cert and key as text need Linux: use cert_file and key_file"])
    file = texts.enter_context(os.fdopen(os.memfd_create("pem"), "wb", buffering=0))
    file.write(pem.encode())
    return f"/proc/self/fd/{file.fileno()}"


def _why_not(error: ssl.SSLError | ValueError) -> str:
    match getattr(error, "reason", None):
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return "the key belongs to another certificate"
        case None if isinstance(error, ssl.SSLError):
            return "they are not PEM files"
        case reason:
            return reason or str(error)


def _no_password() -> str:
    # Without this, OpenSSL asks for a password on the terminal.
    raise ValueError("the key is encrypted; store it without a passphrase")
