"""HTTP basic authentication with bcrypt users, as in Prometheus' own exporters.

The users file is JSON5 (``{alice: "$2y$10$…"}``), htpasswd lines (``alice:$2y$10$…``, from ``htpasswd -nB alice``), or
exporter-toolkit's web configuration if it holds only ``basic_auth_users``, one user per line. It is read again when it
changes, in a thread: no request waits for a file system that hangs. bcrypt is an extra of the package, ``users``,
because only this module needs it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import importlib.util
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from exporter.config import ConfigError, Web, find_credential
from exporter.config.reading import parse_json5
from exporter.config.web_config_file import parse_web_config
from exporter.lib import tasks
from exporter.web.current_file import CurrentFile
from exporter.web.limits import AttemptLimiter, client_of
from exporter.web.passwords import Asker, Failures, PasswordQueue
from exporter.web.sessions import Guard
from exporter.web.web_config import USERS_GONE

log = logging.getLogger(__name__)

MAX_COST = 18  # 2**18 rounds take many seconds; exporter-toolkit names no more
MAX_CACHED = 256  # correct passwords, by keyed hash

_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


def parse_users(text: str, where: str) -> dict[str, str]:
    """bcrypt hashes by user name. Raises ConfigError; its sentences name lines and users, never hashes."""
    is_json5 = text.lstrip().startswith(("{", "//", "/*"))
    found = _from_json5(text, where) if is_json5 else _from_lines(text, where)
    if not found:
        raise ConfigError(where, ["contains no users"])
    _require_hashes(found, where)
    return found


def users_of_web_config(text: str, where: str) -> dict[str, str]:
    """The users of a web configuration file; none: no password is needed. Raises ConfigError."""
    found = dict(parse_web_config(text, Path(where)).users)
    _require_hashes(found, where)
    return found


def _require_hashes(users: dict[str, str], where: str) -> None:
    for user, hashed in users.items():
        cost = _HASH.fullmatch(hashed)
        if cost is None:
            raise ConfigError(where, [f'{user}: not a bcrypt hash ("$2y$…"): make one with htpasswd -nB'])
        if not 4 <= int(cost[1]) <= MAX_COST:
            raise ConfigError(where, [f"{user}: the bcrypt cost must be from 4 to {MAX_COST}"])


def _from_json5(text: str, where: str) -> dict[str, str]:
    data = parse_json5(text, where)
    if isinstance(data, dict) and set(data) == {"basic_auth_users"}:
        data = data["basic_auth_users"]
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise ConfigError(where, ['must be an object of users and their bcrypt hashes: { alice: "$2y$…" }'])
    return data


def _from_lines(text: str, where: str) -> dict[str, str]:
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#") or bare in ("basic_auth_users:", "---"):
            continue
        name, colon, hashed = bare.partition(":")
        name = name.strip(" \t\"'")
        if not colon or not name or not _HASH.fullmatch(hashed.strip(" \t\"'")):
            raise ConfigError(where, [f"line {number}: write user:$2y$… (htpasswd -nB prints such lines)"])
        if name in users:
            raise ConfigError(where, [f"line {number}: this user is listed twice"])
        users[name] = hashed.strip(" \t\"'")
    return users


class Users:
    """The users of a file, and a cache of correct passwords.

    ``key`` of the configuration names the file, and ``parse`` reads it.
    """

    def __init__(
        self,
        path: str,
        failures: Failures | None = None,
        *,
        key: str = "web.users_file",
        parse: Callable[[str, str], dict[str, str]] | None = None,
    ) -> None:
        self._setting = key
        self._parse = parse or parse_users
        self._had_users = False
        self._file = CurrentFile(find_credential(path), "a users file", self._checked)
        self._key = secrets.token_bytes(32)
        self._correct: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._queue = PasswordQueue(failures or AttemptLimiter())

    def load(self) -> None:
        """Read the file unless it is as it was. Blocks. Raises ConfigError."""
        self._file.load()

    def _checked(self, text: str, where: str) -> dict[str, str]:
        users = self._parse(text, where)
        if self._had_users and not users:
            raise ConfigError(where, [USERS_GONE])
        self._had_users = self._had_users or bool(users)
        if users and importlib.util.find_spec("bcrypt") is None:
            raise ConfigError(
                self._setting, ["needs bcrypt: install it with pip install 'openclaw-auth-exporter[users]'"]
            )
        return users

    async def are_required(self) -> bool:
        """Whether there are users; a web configuration may have none. Raises ConfigError."""
        return bool(await self._file.refresh())

    async def check(self, user: str, password: str, address: str = "") -> bool:
        """Whether this is the user's password. An unknown user takes as long as a known one.

        bcrypt runs once for concurrent requests with the same password. A correct password is cached by a hash whose
        key only this process has. Raises HTTPException (429) if too many passwords are waiting, and ConfigError.
        """
        users = await self._file.refresh()
        key = self._key_of(user, password, users.get(user, ""))
        if key in self._correct:
            self._correct.move_to_end(key)
            return True
        task = self._running.get(key)
        if task is None:
            asker = Asker(address, user)
            task = tasks.begin(self._compare(key, password, users.get(user), _highest_cost(users), asker))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _compare(self, key: bytes, password: str, hashed: str | None, cost: int, asker: Asker) -> bool:
        hashes = _hashes_to_compare(hashed, cost)
        if not await self._queue.compare(asker, lambda: _matches_first(password, hashes)) or hashed is None:
            return False
        self._correct[key] = None
        while len(self._correct) > MAX_CACHED:
            self._correct.popitem(last=False)
        return True

    def _key_of(self, user: str, password: str, hashed: str) -> bytes:
        # The stored hash is part of the key, so that a changed password leaves no valid cache entry.
        parts = (user, hashed, password)
        message = b"".join(len(part).to_bytes(8, "big") + part for part in (text.encode() for text in parts))
        return hmac.digest(self._key, message, "sha256")


def _cost_of(hashed: str) -> int:
    return int(hashed[4:6])


def _highest_cost(users: Mapping[str, str]) -> int:
    return max(map(_cost_of, users.values()), default=0)


def _hashes_to_compare(hashed: str | None, cost: int) -> list[str]:
    """The user's hash, and hashes that nothing matches, so that it takes the work of one hash of ``cost`` in all."""
    if hashed is None:
        return [_unmatched(cost)]
    return [hashed, *(_unmatched(less) for less in range(_cost_of(hashed), cost))]


def _unmatched(cost: int) -> str:
    return f"$2b${cost:02}${'.' * 21}O{'.' * 31}"


def _matches_first(password: str, hashes: list[str]) -> bool:
    matches = [_bcrypt(password, hashed) for hashed in hashes]  # all of them: an early end would tell
    return matches[0]


def _bcrypt(password: str, hashed: str) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode()[:72], hashed.encode())  # bcrypt uses no more
    except ValueError:
        return False


def users_of(web: Web, failures: Failures | None = None) -> Users | None:
    """The users of ``web.users_file`` or ``web.config_file``; None if neither is set."""
    if web.users_file:
        return Users(web.users_file, failures)
    if web.config_file:
        return Users(web.config_file, failures, key="web.config_file", parse=users_of_web_config)
    return None


class BasicAuth:
    """Every path needs a user, also /-/healthy, as in exporter-toolkit.

    The bearer of the token needs no user: a request carries only one Authorization header.
    """

    def __init__(self, users: Users, guard: Guard) -> None:
        self._users = users
        self._guard = guard

    async def check(self, scope: Scope) -> None:
        """Refuse a request without a user or token (401), after too many attempts (429), or without users (503).

        A web configuration without users needs none.
        """
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        user, password = _credentials(given) if scheme.lower() == "basic" else (None, "")
        try:
            if not await self._users.are_required():
                return
            if user is not None:
                if await self._users.check(user, password, client_of(scope)):
                    return
            elif scheme.lower() == "bearer" and self._guard.is_bearer(scope):
                return
            if user is not None or scheme.lower() == "bearer":
                self._guard.limiter.failed(scope)
        except ConfigError as error:
            log.error("web: every request is refused: %s", error)
            raise HTTPException(503, "The users file cannot be used. The log has the reason.") from None
        raise HTTPException(401, "Unauthorized.", {"WWW-Authenticate": 'Basic realm="openclaw-auth-exporter"'})


def _credentials(given: str) -> tuple[str | None, str]:
    try:
        user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None, ""
    return (user, password) if colon else (None, "")
