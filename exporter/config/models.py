"""The models of the configuration, except for those of targets and channels."""

from __future__ import annotations

import ipaddress
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from exporter.config.channels import Channel
from exporter.config.targets import AutoTarget, OpenClawTarget, Target, TargetBase, TargetsFrom
from exporter.config.values import (
    Count,
    Date,
    Duration,
    FilePath,
    Flag,
    Labels,
    Lazily,
    MetricLabels,
    Model,
    TargetName,
    WithSecrets,
    WithToken,
    WithUrl,
    Zone,
    expand,
)
from exporter.lib.names import suggestion


class Thresholds(Model):
    """What a person decides for some credentials instead of for all."""

    expiring_within: Duration | None = Field(None, ge=0, description="default: the next wider one")
    remind_before: list[Duration] | None = Field(None, description="default: the next wider one")


class ProfilePolicy(Thresholds):
    issued_at: Date | None = None
    expires_at: Date | None = None
    alias: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    ignore: Flag = False
    labels: Labels = Field({}, description="like owner or team; they replace the target's of the same name")


class ProviderPolicy(Thresholds):
    credential: Literal["none"] | None = Field(None, description="none: it needs no credential of OpenClaw's")

    @model_validator(mode="after")
    def _says_something(self) -> ProviderPolicy:
        if not self.model_fields_set:
            raise ValueError("it has no key: write credential, expiring_within or remind_before")
        return self


class TargetPolicy(Thresholds):
    """What a person decides for every credential of one target."""


class Policy(Model):
    expiring_within: Duration = Field(86400.0, ge=0)
    setup_token_lifetime: Duration = Field(365 * 86400.0, gt=0)
    oauth_idle_after: Duration = Field(86400.0, ge=0)
    profiles: Annotated[dict[str, ProfilePolicy], Lazily()] = {}
    targets: Annotated[dict[TargetName, TargetPolicy], Lazily()] = {}
    providers: Annotated[dict[Annotated[str, Field(min_length=1, pattern=r"^\S+$")], ProviderPolicy], Lazily()] = {}

    def of(self, target: str, agent: str, profile: str) -> ProfilePolicy:
        """The policy of one profile. The narrowest key wins as a whole; policies are not merged."""
        for key in (f"{target}/{agent}/{profile}", f"{target}/{profile}", profile):
            if key in self.profiles:
                return self.profiles[key]
        return _NO_POLICY

    def needs_credential(self, provider: str) -> bool:
        """False if the provider needs no credential of OpenClaw's: then nothing about it is reported."""
        return provider not in self.providers or self.providers[provider].credential is None

    def expiring_within_of(self, target: str, agent: str, provider: str, profile: str) -> tuple[float, str]:
        """How near a deadline of a profile is a warning, in seconds, and the key that says so, for people."""
        for name, chosen in self._thresholds(target, agent, provider, profile):
            if chosen.expiring_within is not None:
                return chosen.expiring_within, f"the {name}'s expiring_within"
        return self.expiring_within, "policy.expiring_within"

    def remind_before_of(self, target: str, agent: str, provider: str, profile: str) -> list[float] | None:
        """The reminders that a profile has instead of ``alerts.remind_before``, in seconds; None if it has none."""
        found = (chosen.remind_before for _, chosen in self._thresholds(target, agent, provider, profile))
        return next((steps for steps in found if steps is not None), None)

    @property
    def has_reminders(self) -> bool:
        """Whether any credential has reminders of its own."""
        groups = (self.profiles, self.targets, self.providers)
        return any(chosen.remind_before is not None for group in groups for chosen in group.values())

    def _thresholds(self, target: str, agent: str, provider: str, profile: str) -> Iterator[tuple[str, Thresholds]]:
        """What was decided for one profile: its own first, then its target's, then its provider's."""
        yield "profile", self.of(target, agent, profile)
        if target in self.targets:
            yield "target", self.targets[target]
        if provider in self.providers:
            yield "provider", self.providers[provider]


_NO_POLICY = ProfilePolicy.model_construct()


class Alerts(Model):
    remind_before: list[Duration] = [14 * 86400.0, 7 * 86400.0, 3 * 86400.0, 86400.0, 6 * 3600.0, 3600.0]
    repeat_every: Duration = Field(6 * 3600.0, gt=0)
    confirm_checks: Count = Field(2, ge=1, le=100)
    check_failed_after: Duration = Field(900.0, ge=0)
    cooldown_after: Duration = Field(900.0, ge=0)
    group_wait: Duration = Field(10.0, ge=0)
    escalate_after: Duration | None = None
    order: list[str] = Field(
        [], description="names of channels, in the order of escalation; default: the order in which they are configured"
    )
    prove_every: Duration | None = Field(
        None,
        ge=60,
        description="how often each channel gets a test notification to acknowledge; default: never",
    )


class Heartbeat(WithUrl):
    every: Duration = Field(300.0, ge=1)


class Otlp(WithUrl, WithToken):
    """An OpenTelemetry collector that is sent the metrics."""

    every: Duration = Field(60.0, ge=1)


class Tls(Model):
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file need each other: set both, or neither")
        if self.client_ca_file and not self.cert_file:
            raise ValueError("client_ca_file needs cert_file and key_file")
        return self


class Web(WithSecrets):
    listen: str | tuple[str, ...] = "127.0.0.1:10785"
    external_url: str = ""
    hosts: tuple[str, ...] = ()
    tls: Tls = Tls.model_construct()
    users_file: str = ""
    config_file: str = ""
    metric_labels: MetricLabels = Field((), description="the labels of targets that metrics have, too, like owner")
    reauth: bool = Field(False, description="whether a person who is signed in can renew credentials from the page")
    token: SecretStr | None = None
    token_file: str = ""
    token_env: str | None = None

    @model_validator(mode="after")
    def _sign_in(self) -> Web:
        if self.reauth and not self.given_keys("token"):
            raise ValueError("reauth needs a token to sign in with: set token_file")
        return self

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        addresses = (value,) if isinstance(value, str) else value
        for address in addresses:
            require_address(address)
        if not addresses:
            raise ValueError("write at least one address")
        return value

    @field_validator("external_url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if value and not is_url:
            raise ValueError('write the address of the page, like "https://rack7.example"')
        return value

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", value):
                raise ValueError(
                    f'{value!r} is not a host name: write it without scheme and port, like "rack7.example"'
                )
        return tuple(value.lower().rstrip(".") for value in values)

    @model_validator(mode="after")
    def _one_way(self) -> Web:
        if self.config_file and (self.tls.cert_file or self.users_file):
            raise ValueError("config_file has TLS and users: remove tls and users_file, or config_file")
        return self

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each address. The host is empty for every address of this machine."""
        listed = (self.listen,) if isinstance(self.listen, str) else self.listen
        return tuple((host.strip("[]"), int(port)) for host, _, port in (address.rpartition(":") for address in listed))

    @property
    def host(self) -> str:
        """The host of the first address."""
        return self.addresses[0][0]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.addresses[0][1]


def require_address(text: str) -> None:
    """Raises ValueError with a sentence if ``text`` is no host and port."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'{text!r} is not an address: write host:port, like "127.0.0.1:10785"')
    bare = host.strip("[]")
    if ":" in bare:
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv6 address: write it like [::1]") from None


class Config(Model):
    # model_construct() makes the defaults without their validators, which would have to be built first.
    interval: Duration = Field(300.0, ge=1, description="time between two checks of a target")
    name: Annotated[str, Field(max_length=64, pattern=r"^[^/\x00-\x1f\x7f]*$")] = Field(
        "", description="who this exporter is in alerts; default: the host's name at its first start"
    )
    timezone: Zone = Field("", description="of times that people see; default: this host's; JSON and metrics have UTC")
    targets: list[Target] = [AutoTarget.model_construct()]
    targets_from: Annotated[list[TargetsFrom], Lazily()] = []
    policy: Annotated[Policy, Lazily()] = Policy.model_construct()
    alerts: Annotated[Alerts, Lazily()] = Alerts.model_construct()
    channels: list[Channel] = []
    heartbeat: Annotated[Heartbeat | None, Lazily()] = None
    otlp: Annotated[Otlp | None, Lazily()] = None
    web: Annotated[Web, Lazily()] = Web.model_construct()
    state_dir: FilePath | None = Field(None, description="default: $STATE_DIRECTORY, else below ~/.local/state")

    @model_validator(mode="before")
    @classmethod
    def _only_listed(cls, data: Any) -> Any:
        """With lists and no targets beside them, there is no default target."""
        return {"targets": [], **data} if isinstance(data, dict) and data.get("targets_from") else data

    @model_validator(mode="after")
    def _names(self) -> Config:
        if not self.targets and not self.targets_from:
            raise ValueError("targets: must not be empty")
        channels = [channel.name for channel in self.channels]
        for key, names in (("targets", [target.name for target in self.targets]), ("channels", channels)):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{key}: two are named {name!r}: give each its own name")
        for name in self.alerts.order:
            if name not in channels:
                raise ValueError(f"alerts.order: there is no channel named {name!r}{suggestion(name, channels)}")
        return self

    def state_directory(self, environ: Mapping[str, str] = os.environ) -> Path:
        """The directory of the state files: the configured one, systemd's, or one below ``~/.local/state``."""
        if self.state_dir:
            return expand(self.state_dir)
        if environ.get("STATE_DIRECTORY"):
            return Path(environ["STATE_DIRECTORY"].split(":")[0])
        home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return Path(home) / "openclaw-auth-exporter"

    def metric_labels(self, target: TargetBase) -> dict[str, str]:
        """The labels of a target that its series have, too. Prometheus takes an empty one for none."""
        return {name: target.labels[name] for name in self.web.metric_labels if target.labels.get(name)}

    def zone(self) -> ZoneInfo:
        """The time zone of times that people see."""
        from exporter.lib.zones import host_zone  # only where people see times

        return ZoneInfo(self.timezone) if self.timezone else host_zone()

    def interval_of(self, target: TargetBase) -> float:
        """Seconds between two checks of a target whose store is not on this host."""
        if target.interval is not None:
            return target.interval
        remote = isinstance(target, OpenClawTarget) and target.ssh is not None
        return max(self.interval, 3600.0) if remote else self.interval
