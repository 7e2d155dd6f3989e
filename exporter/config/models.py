"""The configuration's shape: one pydantic model per part, with its defaults and its checks."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    SecretStr,
    Strict,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from exporter.units import format_duration, iso, parse_date, parse_duration


class ConfigError(Exception):
    """A configuration that cannot be used. ``problems``: one sentence each, no secret in them."""

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))
        self.where = where
        self.problems = problems


#: The validation context of what a person wrote: a bare number there has no unit and no calendar.
WRITTEN = {"written": True}


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, float) and info.context != WRITTEN:
        return value  # already parsed
    raise ValueError('write a duration with its unit, like "90s", "5m", "24h" or "14d"')


def _date(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_date(value)
    if isinstance(value, float) and info.context != WRITTEN:
        return value  # already parsed
    raise ValueError('write a date like "2026-03-01" or "2026-03-01T12:00:00Z"')


def _agents(value: object) -> object:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names) or (names == [value] and value != "all"):
        raise ValueError('write "all" or a list of agent ids, like ["main", "work"]')
    return value


Agents = Annotated[Literal["all"] | list[str], BeforeValidator(_agents)]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w|y))+$", "examples": ["5m"]}),
]
Date = Annotated[
    float,
    BeforeValidator(_date),
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01", "2026-03-01T12:00:00Z"]}),
]
#: Text is no number and no truth: what the schema calls wrong is an error here too.
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
FilePath = Annotated[str, Field(min_length=1)]
Command = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
TargetName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/\x7f]+$")]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def secret(self, name: str) -> str | None:
        """The value of secret ``name``: from the key itself, its ``_file`` or its ``_env``.

        Read anew at every call, so that a rotated file is seen. Raises ConfigError with a sentence
        when the file cannot be read or the variable is not set.
        """
        # Fields only: one named `secret` is `secret_` here, for this method has its name.
        plain = self.__dict__.get(name, self.__dict__.get(f"{name}_"))
        if plain:
            return str(plain.get_secret_value())
        file, variable = getattr(self, f"{name}_file", None), getattr(self, f"{name}_env", None)
        if file:
            path = find_credential(file)
            try:
                return path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ConfigError(f"{name}_file", [f"{file}: {why}"]) from None
        if variable:
            if variable not in os.environ:
                raise ConfigError(f"{name}_env", [f"the environment variable {variable} is not set"])
            return os.environ[variable].strip()
        return None if plain is None else ""

    @classmethod
    def secrets(cls) -> list[str]:
        """The names of what may be in a file or in the environment."""
        return [name.removesuffix("_env") for name in cls.model_fields if name.endswith("_env")]

    def has_secret(self, name: str) -> bool:
        return any(self.__dict__.get(f"{name}{tail}") for tail in ("", "_", "_file", "_env"))


def _one_of_each_secret(model: Model) -> Model:
    for name in model.secrets():
        held = model.__dict__  # a field named `secret` is `secret_` here
        ways = [way for way in (name, f"{name}_file", f"{name}_env") if held.get(way) or held.get(f"{way}_")]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are both set: keep one")
    return model


def _what_it_needs(model: WithSecrets) -> WithSecrets:
    for name in model.NEEDS:
        if not model.has_secret(name):
            raise ValueError(f"{name} is missing: write {name}, {name}_file or {name}_env")
    return model


class WithSecrets(Model):
    #: The secrets without which it is of no use.
    NEEDS: ClassVar[tuple[str, ...]] = ()

    _once = model_validator(mode="after")(_one_of_each_secret)
    _all = model_validator(mode="after")(_what_it_needs)


def expand(path: str) -> Path:
    """A path with ``~`` expanded."""
    return Path(os.path.expanduser(path))


def find_credential(path: str) -> Path:
    """A secret's file; a bare name is looked up in systemd's CREDENTIALS_DIRECTORY first."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and "/" not in path and (Path(directory) / path).exists():
        return Path(directory) / path
    return expand(path)


# --- targets ---------------------------------------------------------------------------------


class TargetBase(WithSecrets):
    name: TargetName = "local"
    interval: Duration | None = Field(None, ge=1, description="between looks; default: the global interval")
    timeout: Duration = Field(60.0, gt=0, le=3600)
    schedule: Flag = Field(True, description="false: looked at only through /probe")


class OpenClawTarget(TargetBase):
    """The openclaw command: on this host, in a container, or over ssh."""

    source: Literal["openclaw"]
    command: Command = ["openclaw"]
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = Field(None, description="OPENCLAW_STATE_DIR for the command and the store")
    ssh: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")] | None = None


class StoreTarget(TargetBase):
    """The auth stores, read directly."""

    source: Literal["store"]
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class GatewayTarget(TargetBase):
    """A running gateway's admin RPC."""

    source: Literal["gateway"]
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:18789"
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: str | None = None
    agents: Agents = "all"
    state_dir: FilePath | None = Field(None, description="the gateway's store, where it is on this host")
    ca_file: FilePath | None = None
    usage: Flag = Field(False, description="ask usage.status too, hourly")


class ClaudeTarget(TargetBase):
    """Claude Code's own login."""

    #: What its one login counts as.
    AGENT: ClassVar[str] = "claude-code"

    source: Literal["claude"]
    command: Command = ["claude"]
    env_file: FilePath | None = None


class AutoTarget(TargetBase):
    """The command if it can be found, else the store, else Claude Code."""

    source: Literal["auto"] = "auto"
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class SimulatedTarget(TargetBase):
    """A simulated OpenClaw that ages, breaks and heals (``demo``)."""

    source: Literal["simulated"]
    scenario: str = "healthy"
    profiles: Count = Field(1, ge=0, le=1_000_000, description="how many profiles the scenario is spread over")


def _source_of(value: object) -> str:
    source = value.get("source", "auto") if isinstance(value, dict) else getattr(value, "source", "auto")
    return source if isinstance(source, str) else "?"


Target = Annotated[
    Annotated[OpenClawTarget, Tag("openclaw")]
    | Annotated[StoreTarget, Tag("store")]
    | Annotated[GatewayTarget, Tag("gateway")]
    | Annotated[ClaudeTarget, Tag("claude")]
    | Annotated[AutoTarget, Tag("auto")]
    | Annotated[SimulatedTarget, Tag("simulated")],
    Discriminator(_source_of),
]

# --- policy and alerts -----------------------------------------------------------------------


class ProfilePolicy(Model):
    issued_at: Date | None = None
    expires_at: Date | None = None
    alias: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    ignore: Flag = False


class Policy(Model):
    expiring_within: Duration = Field(86400.0, ge=0)
    setup_token_lifetime: Duration = Field(365 * 86400.0, gt=0)
    oauth_idle_after: Duration = Field(86400.0, ge=0)
    profiles: dict[str, ProfilePolicy] = {}

    def of(self, target: str, agent: str, profile: str) -> ProfilePolicy:
        """What is said of one profile; the narrower key wins, key by key it is whole."""
        for key in (f"{target}/{agent}/{profile}", f"{target}/{profile}", profile):
            if key in self.profiles:
                return self.profiles[key]
        return _NOTHING_SAID


_NOTHING_SAID = ProfilePolicy()


class Alerts(Model):
    remind_before: list[Duration] = [14 * 86400.0, 7 * 86400.0, 3 * 86400.0, 86400.0, 6 * 3600.0, 3600.0]
    repeat_every: Duration = Field(6 * 3600.0, gt=0)
    confirm_checks: Count = Field(2, ge=1, le=100)
    cooldown_after: Duration = Field(900.0, ge=0)
    group_wait: Duration = Field(10.0, ge=0)
    escalate_after: Duration | None = None
    order: list[str] = Field([], description="channels, in the order in which a critical alert climbs them")
    prove_every: Duration | None = Field(
        None,
        ge=60,
        description="how often each channel is told that all is watched, to be acknowledged; default: never",
    )


# --- channels --------------------------------------------------------------------------------


_TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d$"


class QuietHours(Model):
    from_: Annotated[str, Field(alias="from", pattern=_TIME_OF_DAY, examples=["22:00"])]
    to: Annotated[str, Field(pattern=_TIME_OF_DAY, examples=["07:00"])]
    timezone: str = "UTC"
    except_: Annotated[Literal["critical", "warning"] | None, Field(alias="except")] = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f'{value!r} is no time zone: write one like "Europe/Stockholm"') from None
        return value


class ChannelBase(WithSecrets):
    name: TargetName
    min_severity: Literal["info", "warning", "critical"] = "info"
    quiet_hours: QuietHours | None = None


class NtfyChannel(ChannelBase):
    NEEDS = ("topic",)

    type: Literal["ntfy"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
    topic: SecretStr | None = None
    topic_file: FilePath | None = None
    topic_env: str | None = None
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: str | None = None


class AppriseChannel(ChannelBase):
    NEEDS = ("url",)

    type: Literal["apprise"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None


class AlertmanagerChannel(ChannelBase):
    type: Literal["alertmanager"]
    urls: Annotated[list[str], Field(min_length=1)]


class WebhookChannel(ChannelBase):
    NEEDS = ("url",)

    type: Literal["webhook"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
    secret_: Annotated[SecretStr | None, Field(alias="secret")] = None
    secret_file: FilePath | None = None
    secret_env: str | None = None


class OpenClawChannel(ChannelBase):
    type: Literal["openclaw"]
    channel: str
    recipient: str
    command: Command = ["openclaw"]


class TermuxChannel(ChannelBase):
    type: Literal["termux"]


class CommandChannel(ChannelBase):
    type: Literal["command"]
    command: Command


Channel = Annotated[
    NtfyChannel
    | AppriseChannel
    | AlertmanagerChannel
    | WebhookChannel
    | OpenClawChannel
    | TermuxChannel
    | CommandChannel,
    Field(discriminator="type"),
]


class Heartbeat(WithSecrets):
    NEEDS = ("url",)

    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
    every: Duration = Field(300.0, ge=1)


# --- web and the whole -----------------------------------------------------------------------


class Tls(Model):
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together: set both, or neither")
        if self.client_ca_file and not self.cert_file:
            raise ValueError("client_ca_file needs cert_file and key_file")
        return self


class Web(WithSecrets):
    listen: str = "127.0.0.1:9785"
    external_url: str = ""
    tls: Tls = Tls()
    users_file: str = ""
    token: SecretStr | None = None
    token_file: str = ""
    token_env: str | None = None

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError(f'{value!r} is no address: write host:port, like "127.0.0.1:9785"')
        bare = host.strip("[]")
        if ":" in bare:
            try:
                ipaddress.ip_address(bare)
            except ValueError:
                raise ValueError(f"{host!r} is no IPv6 address: write it like [::1]") from None
        return value

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class Config(Model):
    interval: Duration = Field(300.0, ge=1, description="between looks at each target")
    targets: Annotated[list[Target], Field(min_length=1)] = [AutoTarget()]
    policy: Policy = Policy()
    alerts: Alerts = Alerts()
    channels: list[Channel] = []
    heartbeat: Heartbeat | None = None
    web: Web = Web()
    state_dir: FilePath | None = Field(None, description="default: $STATE_DIRECTORY, else ~/.local/state/…")

    @model_validator(mode="after")
    def _names(self) -> Config:
        for what, names in (("targets", self.targets), ("channels", self.channels)):
            seen: set[str] = set()
            for item in names:
                if item.name in seen:
                    raise ValueError(f"{what}: two are named {item.name!r}; names tell them apart everywhere")
                seen.add(item.name)
        known = {channel.name for channel in self.channels}
        for name in self.alerts.order:
            if name not in known:
                there = f"there are {', '.join(sorted(known))}" if known else "none is configured"
                raise ValueError(f"alerts.order: there is no channel named {name!r}; {there}")
        return self

    def interval_of(self, target: TargetBase) -> float:
        """Seconds between looks at a target that has no store to compare."""
        if target.interval is not None:
            return target.interval
        remote = isinstance(target, OpenClawTarget) and target.ssh is not None
        return max(self.interval, 3600.0) if remote else self.interval
