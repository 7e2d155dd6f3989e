"""The configuration: pydantic models, read from JSON5, with secrets from files and environment.

``load`` is the only way in. A bad configuration raises ConfigError, whose ``problems`` are
sentences that name the key, its place and what to do.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    SecretStr,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from exporter.units import format_duration, parse_date, parse_duration


class ConfigError(Exception):
    """A configuration that cannot be used. ``problems``: one sentence each, no secret in them."""

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))
        self.where = where
        self.problems = problems


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, float):
        return value  # a default, or one already parsed
    raise ValueError('write a duration with its unit, like "90s", "5m", "24h" or "14d"')


def _date(value: object) -> object:
    return parse_date(value) if isinstance(value, str) else value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w|y))+$", "examples": ["5m"]}),
]
Date = Annotated[
    float,
    BeforeValidator(_date),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01", "2026-03-01T12:00:00Z"]}),
]
FilePath = Annotated[str, Field(min_length=1)]
TargetName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/\x7f]+$")]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def secret(self, name: str) -> str | None:
        """The value of secret ``name``: from the key itself, its ``_file`` or its ``_env``.

        Read anew at every call, so that a rotated file is seen. Raises ConfigError with a sentence
        when the file cannot be read or the variable is not set.
        """
        plain = getattr(self, name)
        if plain is not None:
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
            return os.environ[variable]
        return None

    def has_secret(self, name: str) -> bool:
        return any(getattr(self, f"{name}{tail}", None) for tail in ("", "_file", "_env"))


def _one_of_each_secret(model: Model) -> Model:
    for name in type(model).model_fields:
        ways = [way for way in (name, f"{name}_file", f"{name}_env") if getattr(model, way, None)]
        if f"{name}_file" in type(model).model_fields and len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are both set: keep one")
    return model


class WithSecrets(Model):
    _once = model_validator(mode="after")(_one_of_each_secret)


# --- targets ---------------------------------------------------------------------------------


class TargetBase(WithSecrets):
    name: TargetName = "local"
    interval: Duration | None = Field(None, ge=1, description="between looks; default: the global interval")
    timeout: Duration = Field(60.0, gt=0, le=3600)
    schedule: bool = Field(True, description="false: looked at only through /probe")


class OpenClawTarget(TargetBase):
    """The openclaw command: on this host, in a container, or over ssh."""

    source: Literal["openclaw"]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = ["openclaw"]
    agents: Literal["all"] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = Field(None, description="OPENCLAW_STATE_DIR for the command and the store")
    ssh: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")] | None = None


class StoreTarget(TargetBase):
    """The auth stores, read directly."""

    source: Literal["store"]
    agents: Literal["all"] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class GatewayTarget(TargetBase):
    """A running gateway's admin RPC."""

    source: Literal["gateway"]
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:18789"
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: str | None = None
    agents: Literal["all"] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = "all"
    state_dir: FilePath | None = Field(None, description="the gateway's store, where it is on this host")
    ca_file: FilePath | None = None
    usage: bool = Field(False, description="ask usage.status too, hourly")


class ClaudeTarget(TargetBase):
    """Claude Code's own login."""

    source: Literal["claude"]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = ["claude"]
    env_file: FilePath | None = None


class AutoTarget(TargetBase):
    """The command if it can be found, else the store, else Claude Code."""

    source: Literal["auto"] = "auto"
    agents: Literal["all"] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class SimulatedTarget(TargetBase):
    """A simulated OpenClaw that ages, breaks and heals (``demo``)."""

    source: Literal["simulated"]
    scenario: str = "healthy"
    profiles: int = Field(1, ge=0, le=1_000_000, description="how many profiles the scenario is spread over")


def _source_of(value: object) -> str | None:
    source = value.get("source", "auto") if isinstance(value, dict) else getattr(value, "source", "auto")
    return source if isinstance(source, str) else None


Target = Annotated[
    Union[
        Annotated[OpenClawTarget, Tag("openclaw")],
        Annotated[StoreTarget, Tag("store")],
        Annotated[GatewayTarget, Tag("gateway")],
        Annotated[ClaudeTarget, Tag("claude")],
        Annotated[AutoTarget, Tag("auto")],
        Annotated[SimulatedTarget, Tag("simulated")],
    ],
    Discriminator(_source_of),
]

# --- policy and alerts -----------------------------------------------------------------------


class ProfilePolicy(Model):
    issued_at: Date | None = None
    expires_at: Date | None = None
    alias: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    ignore: bool = False


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
    confirm_checks: int = Field(2, ge=1, le=100)
    cooldown_after: Duration = Field(900.0, ge=0)
    group_wait: Duration = Field(10.0, ge=0)
    escalate_after: Duration | None = None
    order: list[str] = Field([], description="channels, in the order in which a critical alert climbs them")


# --- channels --------------------------------------------------------------------------------


class QuietHours(Model):
    from_: Annotated[str, Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    to: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
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
    type: Literal["apprise"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None


class AlertmanagerChannel(ChannelBase):
    type: Literal["alertmanager"]
    urls: Annotated[list[str], Field(min_length=1)]


class WebhookChannel(ChannelBase):
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
    command: Annotated[list[str], Field(min_length=1)] = ["openclaw"]


class TermuxChannel(ChannelBase):
    type: Literal["termux"]


class CommandChannel(ChannelBase):
    type: Literal["command"]
    command: Annotated[list[str], Field(min_length=1)]


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
                    raise ValueError(f"{what}: two are named {item.name!r}: names tell them apart in metrics and alerts")
                seen.add(item.name)
        known = {channel.name for channel in self.channels}
        for name in self.alerts.order:
            if name not in known:
                raise ValueError(f"alerts.order: there is no channel named {name!r}{_nearest(name, known)}")
        return self

    def interval_of(self, target: TargetBase) -> float:
        """Seconds between looks at a target that has no store to compare."""
        if target.interval is not None:
            return target.interval
        remote = isinstance(target, OpenClawTarget) and target.ssh is not None
        return max(self.interval, 3600.0) if remote else self.interval


# --- reading ---------------------------------------------------------------------------------


def expand(path: str) -> Path:
    """A path with ``~`` expanded."""
    return Path(os.path.expanduser(path))


def find_credential(path: str) -> Path:
    """A secret's file; a bare name is looked up in systemd's CREDENTIALS_DIRECTORY first."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and "/" not in path and (Path(directory) / path).exists():
        return Path(directory) / path
    return expand(path)


def default_config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file in effect without ``--config``, or None when there is none."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    if named:
        return expand(named)
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    candidates = [Path(home) / "openclaw-auth-exporter/config.json5", Path("/etc/openclaw-auth-exporter/config.json5")]
    for directory in filter(None, environ.get("CONFIGURATION_DIRECTORY", "").split(":")):
        candidates.insert(0, Path(directory) / "config.json5")
    return next((candidate for candidate in candidates if candidate.exists()), None)


def default_state_dir(config: Config, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the ledger lives: the configuration's, systemd's, or ``~/.local/state``."""
    if config.state_dir:
        return expand(config.state_dir)
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "openclaw-auth-exporter"


MAX_CONFIG_BYTES = 16 * 1024 * 1024


def load(path: Path | None) -> Config:
    """The configuration in ``path``; the defaults when it is None. Raises ConfigError."""
    if path is None:
        return Config()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), ["is larger than 16 MiB: this is no configuration"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text (byte {error.start})"]) from None
    return parse(text, str(path))


def parse(text: str, where: str = "configuration") -> Config:
    """The configuration in JSON5 ``text``. Raises ConfigError; ``where`` is its first word."""
    try:
        data = _parse_json5(text)
    except ValueError as error:
        raise ConfigError(where, [f"is not JSON5: {error}"]) from None
    except RecursionError:
        raise ConfigError(where, ["is nested too deeply"]) from None
    if not isinstance(data, dict):
        raise ConfigError(where, ["must be an object: { … }"])
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(where, [_sentence(problem, data) for problem in error.errors()]) from None


def _parse_json5(text: str) -> Any:
    try:
        return json.loads(text)  # json5 takes a second for a thousand targets
    except ValueError:
        import json5

        try:
            return json5.loads(text, allow_duplicate_keys=False)
        except ValueError as error:
            found = re.search(r"<string>:(\d+) (.*?) at column (\d+)", str(error))
            if found:
                # Only the place: the text around it may be a secret.
                what = re.sub(r'"(\\.|[^"])*"', "character", found[2])
                raise ValueError(f"line {found[1]}, column {found[3]}: {what}") from None
            raise ValueError("a key is there twice" if "Duplicate key" in str(error) else "cannot be read") from None


_TAGS = {"openclaw", "store", "gateway", "claude", "auto", "simulated"}


def _sentence(problem: Any, data: Any) -> str:
    """One pydantic error as a sentence with the key's place, and the nearest known key."""
    location = list(problem["loc"])
    place, model = _walk(location)
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = set(_field_names(model)) if model else set()
        return f"{place}: unknown key{_nearest(str(location[-1]), known)}"
    if kind == "union_tag_invalid":
        return f"{place}: unknown source; there are {', '.join(sorted(_TAGS - {'simulated'}))}"
    if kind == "union_tag_not_found":
        return f"{place}: type is missing"
    if kind == "missing":
        return f"{place}: is missing"
    return f"{place}: {message[0].lower()}{message[1:]}" if place else message


def _field_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _walk(location: list[Any]) -> tuple[str, type[BaseModel] | None]:
    """The readable place of a pydantic location, and the model its last key belongs to."""
    place, model, annotation = "", None, Config
    current: Any = annotation
    for step in location:
        models = _models_in(current)
        if isinstance(step, int):
            place += f"[{step}]"
            current = [m for m in models] or current
            continue
        tagged = [m for m in models if _tag_of(m) == step and len(models) > 1]
        if tagged:
            current = tagged[0]
            continue
        place += f".{step}" if place else str(step)
        model = models[0] if len(models) == 1 else None
        fields = {info.alias or name: info for m in models for name, info in m.model_fields.items()}
        current = fields[step].annotation if step in fields else current
    return re.sub(r"\.(literal\['all'\]|list\[.*|function-.*|constrained-str)$", "", place), model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, list):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _tag_of(model: type[BaseModel]) -> str | None:
    for name in ("source", "type"):
        if name in model.model_fields:
            return str(get_args(model.model_fields[name].annotation)[0])
    return None


def _nearest(word: str, known: set[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else (f"; known are {', '.join(sorted(known))}" if known else "")


def redacted(config: Config) -> dict[str, Any]:
    """The whole configuration as JSON can hold it, every secret replaced by ``<secret>``."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [clean(item) for item in value]
        return "<secret>" if isinstance(value, SecretStr) else value

    result = clean(config.model_dump(by_alias=True))
    assert isinstance(result, dict)
    return result


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration."""
    return Config.model_json_schema(by_alias=True)
