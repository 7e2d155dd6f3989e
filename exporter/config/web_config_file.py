"""exporter-toolkit's web configuration file (``--web.config.file``), which Prometheus' own exporters share.

YAML with TLS, bcrypt users, headers and a rate limit. What its documentation describes and Python's TLS or our HTTP
server cannot do is refused by name, never ignored. PyYAML is an extra of the package, because only this needs it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from exporter.config.values import ConfigError
from exporter.lib.durations import parse_duration
from exporter.lib.names import suggestion

#: OpenSSL's names of Go's cipher suites before TLS 1.3. TLS 1.3 has its own, which neither lets anyone choose.
CIPHERS = {
    f"TLS_ECDHE_{key}_WITH_{suite}": f"ECDHE-{key}-{name}"
    for key in ("ECDSA", "RSA")
    for suite, name in {
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
    }.items()
}
TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
#: OpenSSL's names of Go's curves.
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
VERSIONS = ("TLS12", "TLS13")
#: Header -> the values it may have; none: any.
HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_CLIENT_AUTH = {
    "": "none",
    "NoClientCert": "none",
    "VerifyClientCertIfGiven": "optional",
    "RequireAndVerifyClientCert": "required",
}
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_TLS_KEYS = (
    *("cert", "key", "client_ca", "cert_file", "key_file", "client_auth_type", "client_ca_file"),
    *("client_allowed_sans", "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites"),
    "curve_preferences",
)
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class TlsServer:
    """The server side of TLS. Certificate, key and authority are files, or PEM text."""

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    client_ca: str = field(default="", repr=False)
    #: ``none``, ``optional`` or ``required``: whether a client shows a certificate. One that it shows is verified.
    client_auth: str = "none"
    #: One of these is a subject alternative name of the client's certificate. None: any client.
    allowed_sans: frozenset[str] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    #: OpenSSL's names; empty: its defaults.
    ciphers: tuple[str, ...] = ()
    curve: str | None = None
    prefers_own_ciphers: bool = True


@dataclass(frozen=True)
class RateLimit:
    """A token bucket: one request each ``interval`` seconds, and ``burst`` at once."""

    interval: float
    burst: int


@dataclass(frozen=True)
class WebConfigFile:
    tls: TlsServer | None = None
    #: bcrypt hashes by user name, not validated.
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


def parse_web_config(text: str, path: Path) -> WebConfigFile:
    """The file's content. Raises ConfigError, whose sentences name keys and quote no secret."""
    return _WebConfigReader(path).file(_yaml(text, str(path)))


class _WebConfigReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def refuse(self, problem: str) -> NoReturn:
        raise ConfigError(str(self._path), [problem])

    # --- shapes ------------------------------------------------------------------------------

    def _mapping(self, value: Any, where: str, keys: tuple[str, ...] | None = None) -> dict[str, Any]:
        if value in (None, ""):
            return {}
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            self.refuse(f"{where or 'the file'} must have keys and values")
        for key in value if keys is not None else ():
            if key not in (keys or ()):
                self.refuse(f"{where}{'.' if where else ''}{key} is no key of a web configuration file"
                            + suggestion(key, keys or ()))  # fmt: skip
        return value

    def _text(self, data: dict[str, Any], key: str, where: str) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            self.refuse(f"{where}.{key} must be one value")
        return value

    def _list(self, data: dict[str, Any], key: str, where: str) -> list[str]:
        value = data.get(key, [])
        if value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.refuse(f"{where}.{key} must be a list")
        return value

    def _flag(self, data: dict[str, Any], key: str, where: str, default: bool) -> bool:
        if key not in data:
            return default
        value = _BOOLEANS.get(self._text(data, key, where).lower())
        if value is None:
            self.refuse(f"{where}.{key} must be true or false")
        return value

    # --- parts -------------------------------------------------------------------------------

    def file(self, data: Any) -> WebConfigFile:
        keys = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
        top = self._mapping(data, "", keys)
        http = self._mapping(top.get("http_server_config"), "http_server_config", ("http2", "headers"))
        if self._flag(http, "http2", "http_server_config", default=False):
            self.refuse("http_server_config.http2: this server speaks HTTP/1.1 only; remove the key or set it to false")
        users = self._mapping(top.get("basic_auth_users"), "basic_auth_users")
        for user, hashed in users.items():
            if not isinstance(hashed, str):
                self.refuse(f"basic_auth_users.{user} must be a bcrypt hash")
        return WebConfigFile(
            tls=self._tls(self._mapping(top.get("tls_server_config"), "tls_server_config", _TLS_KEYS)),
            users=users,
            headers=self._headers(self._mapping(http.get("headers"), "http_server_config.headers")),
            rate_limit=self._rate_limit(self._mapping(top.get("rate_limit"), "rate_limit", ("interval", "burst"))),
        )

    def _headers(self, data: dict[str, Any]) -> dict[str, str]:
        where = "http_server_config.headers"
        headers: dict[str, str] = {}
        for name in data:
            if name not in HEADERS:
                self.refuse(f"{where}: the HTTP header {name} cannot be set{suggestion(name, HEADERS)}")
            value = self._text(data, name, where)
            if value and HEADERS[name] and value not in HEADERS[name]:
                self.refuse(f"{where}.{name} must be {' or '.join(HEADERS[name])}")
            if not re.fullmatch(r"[\x20-\x7e]*", value):
                self.refuse(f"{where}.{name} must be one line of ASCII")
            if value:
                headers[name] = value
        return headers

    def _rate_limit(self, data: dict[str, Any]) -> RateLimit | None:
        given, burst = self._text(data, "interval", "rate_limit"), self._text(data, "burst", "rate_limit") or "0"
        if given in ("", "0", "0s"):
            return None
        try:
            interval = parse_duration(given)
        except ValueError as error:
            self.refuse(f"rate_limit.interval: {error}")
        if not re.fullmatch(r"[0-9]{1,9}", burst):
            self.refuse("rate_limit.burst must be a number of requests")
        return RateLimit(interval, int(burst)) if interval else None

    def _tls(self, data: dict[str, Any]) -> TlsServer | None:
        where = "tls_server_config"
        text: Callable[[str], str] = lambda key: self._text(data, key, where)  # noqa: E731 - used a dozen times below
        names = ("cert_file", "key_file", "client_ca_file", "cert", "key", "client_ca")
        given = {name: text(name) for name in names}
        if not any((*given.values(), text("client_auth_type"))):
            return None
        for name in ("cert", "key"):
            if not given[name] and not given[f"{name}_file"]:
                self.refuse(f"{where}: {name}_file or {name} is missing")
        for name in ("cert_file", "key_file", "client_ca_file"):
            given[name] = given[name] and str(self._path.parent / given[name])
        client_auth = self._client_auth(text("client_auth_type"))
        sans = frozenset(self._list(data, "client_allowed_sans", where)) if "client_allowed_sans" in data else None
        if client_auth == "none" and (given["client_ca_file"] or given["client_ca"] or sans is not None):
            self.refuse(f"{where}: without a client_auth_type no client certificate is asked for; "
                        "set client_auth_type: RequireAndVerifyClientCert")  # fmt: skip
        least, most = (self._version(data, key, default) for key, default in zip(_RANGE, VERSIONS, strict=True))
        suites = self._list(data, "cipher_suites", where)
        for suite in suites:
            if suite not in CIPHERS and suite not in TLS13_CIPHERS:
                self.refuse(f"{where}.cipher_suites: {suite} is unknown{suggestion(suite, CIPHERS)}")
        ciphers = tuple(CIPHERS[suite] for suite in suites if suite in CIPHERS)
        if suites and not ciphers:
            least = "TLS13"
        if least > most:
            self.refuse(f"{where}: min_version is above max_version")
        return TlsServer(
            **given,
            client_auth=client_auth,
            allowed_sans=sans,
            min_version=least,
            max_version=most,
            ciphers=ciphers,
            curve=self._curve(self._list(data, "curve_preferences", where)),
            prefers_own_ciphers=self._flag(data, "prefer_server_cipher_suites", where, default=True),
        )

    def _client_auth(self, given: str) -> str:
        where = "tls_server_config.client_auth_type"
        if given in _UNVERIFIED:
            self.refuse(f"{where}: {given} asks for a certificate and does not verify it, which this server cannot; "
                        "use RequireAndVerifyClientCert or VerifyClientCertIfGiven")  # fmt: skip
        if given not in _CLIENT_AUTH:
            self.refuse(f"{where}: {given} is unknown{suggestion(given, [*filter(None, _CLIENT_AUTH)])}")
        return _CLIENT_AUTH[given]

    def _version(self, data: dict[str, Any], key: str, default: str) -> str:
        value = self._text(data, key, "tls_server_config") or default
        if value in ("TLS10", "TLS11"):
            self.refuse(f"tls_server_config.{key}: this server speaks TLS 1.2 and 1.3 only, not {value}")
        if value not in VERSIONS:
            self.refuse(f"tls_server_config.{key}: {value} is unknown: write TLS12 or TLS13")
        return value

    def _curve(self, names: list[str]) -> str | None:
        where = "tls_server_config.curve_preferences"
        for name in names:
            if name not in CURVES:
                self.refuse(f"{where}: {name} is unknown{suggestion(name, CURVES)}")
        if len(names) > 1:
            self.refuse(f"{where}: this server accepts one curve, or OpenSSL's defaults if the key is missing")
        return CURVES[names[0]] if names else None


_RANGE = ("min_version", "max_version")


# --- YAML ------------------------------------------------------------------------------------


def _yaml(text: str, where: str) -> Any:
    """Mappings, lists and texts: every scalar is text. Raises ConfigError, also for a key that is there twice."""
    if importlib.util.find_spec("yaml") is None:
        raise ConfigError(
            "web.config_file", ["needs PyYAML: install it with pip install 'openclaw-auth-exporter[users]'"]
        )
    import yaml

    class Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
        """Texts only: a user named `no` stays one."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        pairs = loader.construct_pairs(node, deep=True)
        keys = [key for key, _ in pairs]
        for key in keys:
            if not isinstance(key, str) or keys.count(key) > 1:
                raise ConfigError(where, [f"line {node.start_mark.line + 1}: a key is no text, or is there twice"])
        return dict(pairs)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader)  # BaseLoader makes texts, lists and mappings only
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(where, [f"is not YAML{place}"]) from None
