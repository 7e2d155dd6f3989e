"""A simulated OpenClaw home, changed by methods named like OpenClaw's commands.

A World has no clock: each rendering is given ``now``. All times are Unix seconds. Its secrets are made up.
They exist because OpenClaw prints parts of secrets, which readers of that output must not pass on.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.lib.files import MIB, read_regular
from exporter.model import Dialect, FailureReason

KINDS = ("token", "oauth", "api_key")

#: Made-up secrets of the lengths and prefixes of real ones.
SECRETS = {
    "token": "sk-ant-oat01-" + "SIMULATED-" * 8,
    "oauth": "sk-ant-oat02-" + "SIMULATED-" * 8,
    "api_key": "sk-ant-api03-" + "SIMULATED-" * 8,
}

#: The largest number of seconds that whole milliseconds can represent.
MAX_SECONDS = 9e12


class Fault(enum.StrEnum):
    """The possible faults of an answer. Each has an amount, whose meaning is in the comment."""

    # the command
    HANG = "hang"  # seconds; SIGTERM is ignored meanwhile
    GRANDCHILD = "grandchild"  # seconds for which a grandchild holds the pipe and ignores SIGTERM
    SIGNAL = "signal"  # number of the signal that ends it
    COMMAND_ERROR = "command_error"
    EMPTY = "empty"
    GARBAGE = "garbage"
    CUT_OFF = "cut_off"  # bytes of the answer that arrive
    HUGE = "huge"  # bytes of output
    DEEP = "deep"  # levels of nesting
    NOT_UTF8 = "not_utf8"
    LOG_BEFORE = "log_before"  # lines, with colour codes
    LOG_AFTER = "log_after"  # lines, with colour codes
    # the gateway
    NOT_READY = "not_ready"
    NOT_ENABLED = "not_enabled"
    UNAUTHORIZED = "unauthorized"
    UNAVAILABLE = "unavailable"  # seconds to wait, as retryAfterMs
    SLOW = "slow"  # seconds until it answers
    REDIRECT = "redirect"
    HTML = "html"


@dataclass(slots=True)
class Profile:
    """One auth profile as the store has it."""

    id: str
    provider: str
    kind: str  # token, oauth, api_key
    expires: float | None = None  # an OAuth access token's, or a token's; None: no date
    refreshable: bool = False  # OAuth: there is a refresh token
    secret: str | None = field(default=None, repr=False)  # "" for none at all; None: a made-up one
    email: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a profile's kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.secret is None:
            self.secret = SECRETS[self.kind]


@dataclass(slots=True)
class Usage:
    """A profile's entry in the store's ``usageStats``."""

    cooldown_until: float | None = None
    cooldown_reason: str | None = None
    cooldown_model: str | None = None  # the cooldown is for this model only
    disabled_until: float | None = None
    disabled_reason: str | None = None
    last_used: float | None = None
    error_count: int = 0


@dataclass(slots=True)
class Configured:
    """A profile's entry in the configuration's ``auth.profiles``."""

    provider: str
    mode: str


@dataclass
class World:
    """One OpenClaw home. All of its agents share its profiles."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    order: dict[str, list[str]] = field(default_factory=dict)  # per provider: auth.order
    configured: dict[str, Configured] = field(default_factory=dict)
    model: str = "anthropic/claude-opus-5"
    fallbacks: list[str] = field(default_factory=list)
    image_model: str | None = None
    utility_model: str | None = None  # None: the provider's own default
    env: dict[str, str] = field(default_factory=dict, repr=False)  # variable: secret
    agents: list[str] = field(default_factory=lambda: ["main"])  # the default one first
    dialect: Dialect = Dialect.ROUTES  # of the simulated release
    home: str = "/home/user"
    broken: FailureReason | None = None  # checks fail with this
    faults: dict[Fault, float] = field(default_factory=dict)  # with their amounts

    # --- commands ---------------------------------------------------------------------------

    def add(self, profile: Profile) -> Profile:
        """Store a profile, replacing one with the same id."""
        self.profiles[profile.id] = profile
        return profile

    def paste_token(self, profile: str, expires_in: float | None, now: float) -> None:
        """``models auth paste-token --profile-id PROFILE [--expires-in …]``: a new token without failures."""
        provider = self.profiles[profile].provider if profile in self.profiles else profile.partition(":")[0]
        secret = "sk-ant-oat01-" + hashlib.sha256(f"{profile} {now}".encode()).hexdigest()
        expires = None if expires_in is None else now + expires_in
        self.add(Profile(profile, provider, "token", expires, secret=secret))
        if profile in self.configured:
            self.configured[profile] = Configured(provider, "token")
        self.recover(profile)

    def remove(self, profile: str) -> None:
        """Remove a profile and everything stored about it."""
        self.profiles.pop(profile, None)
        self.usage.pop(profile, None)
        self.configured.pop(profile, None)

    def cool_down(self, profile: str, reason: str | None, until: float, model: str | None = None) -> None:
        """Start a cooldown, for one model only if ``model`` is given."""
        usage = self.usage.setdefault(profile, Usage())
        usage.cooldown_until, usage.cooldown_reason, usage.cooldown_model = until, reason, model
        usage.error_count += 1

    def disable(self, profile: str, reason: str | None, until: float) -> None:
        """Disable a profile, as OpenClaw does for ``auth_permanent`` or ``billing``."""
        usage = self.usage.setdefault(profile, Usage())
        usage.disabled_until, usage.disabled_reason = until, reason
        usage.error_count += 1

    def recover(self, profile: str) -> None:
        """Clear cooldown, disable and errors of a profile; its last use stays."""
        if profile in self.usage:
            self.usage[profile] = Usage(last_used=self.usage[profile].last_used)

    def break_check(self, reason: FailureReason | None) -> None:
        """Let the next checks fail with ``reason``; None ends that, and every injected fault."""
        self.broken = reason
        if reason is None:
            self.faults.clear()

    def inject(self, fault: Fault, amount: float = 1) -> None:
        """Put a fault into the next answers."""
        self.faults[fault] = amount

    # --- in use -------------------------------------------------------------------------------

    def providers_in_use(self) -> list[str]:
        """Providers of the primary model, its fallbacks and the image model, in this order."""
        refs = [self.model, *self.fallbacks, *([self.image_model] if self.image_model else [])]
        return list(dict.fromkeys(ref.partition("/")[0] for ref in refs))

    # --- as a file ------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The whole world as JSON, made-up secrets included."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> World:
        """The World that ``to_json`` wrote. Raises ValueError with a sentence for anything else."""
        data = _object(json.loads(text), "the world")
        known = {item.name for item in dataclasses.fields(cls)}
        if set(data) - known:
            raise ValueError(f"the world: unknown key {min(set(data) - known)!r}")
        world = cls()
        for key, value in data.items():
            if key in _RECORDS:
                kind = _RECORDS[key]
                setattr(world, key, {id: _record(kind, item, id) for id, item in _object(value, key).items()})
            elif key in ("fallbacks", "agents"):
                setattr(world, key, _texts(value, key))
            elif key == "order":
                world.order = {provider: _texts(ids, key) for provider, ids in _object(value, key).items()}
            elif key == "env":
                world.env = dict(zip(_object(value, key), _texts(list(value.values()), key), strict=True))
            elif key == "faults":
                world.faults = {Fault(name): _number(amount, name) for name, amount in _object(value, key).items()}
            elif key == "dialect":
                world.dialect = Dialect(value)
            elif key == "broken":
                world.broken = None if value is None else FailureReason(value)
            elif not isinstance(value, str) and (value is not None or key in ("model", "home")):
                raise ValueError(f"{key}: must be a text")
            else:
                setattr(world, key, value)
        if not world.agents:
            raise ValueError("agents: at least one is needed")
        return world

    def save(self, path: Path) -> None:
        """Write the world atomically: a reader sees the old file or the new one."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(self.to_json(), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> World:
        """The world in a file. Raises OSError and ValueError."""
        return cls.from_json(read_regular(path, 16 * MIB).decode())


_RECORDS: dict[str, type[Any]] = {"profiles": Profile, "usage": Usage, "configured": Configured}


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be an object")
    return value


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{where}: must be texts")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: must be a number")
    if abs(value) > MAX_SECONDS:
        raise ValueError(f"{where}: {value:g} is too large")
    return value


def _record(kind: type[Any], value: Any, where: str) -> Any:
    data = _object(value, where)
    fields = {item.name: str(item.type) for item in dataclasses.fields(kind)}
    for name, item in data.items():
        if name not in fields:
            raise ValueError(f"{where}: unknown key {name!r}")
        if item is None and "None" in fields[name]:
            continue
        if fields[name].startswith("str"):
            if not isinstance(item, str):
                raise ValueError(f"{where}.{name}: must be a text")
        elif fields[name].startswith("bool"):
            if not isinstance(item, bool):
                raise ValueError(f"{where}.{name}: must be true or false")
        else:
            _number(item, f"{where}.{name}")
    try:
        return kind(**data)
    except TypeError:
        raise ValueError(f"{where}: a key is missing") from None
