"""The configuration as a whole, with the parts that are neither a target nor a channel."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from exporter.config.channels import Channel
from exporter.config.targets import AutoTarget, OpenClawTarget, Target, TargetBase
from exporter.config.values import Count, Date, Duration, FilePath, Flag, Model, WithSecrets


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
    order: list[str] = Field(
        [], description="channels, in the order in which a critical alert climbs them; default: as they are configured"
    )
    prove_every: Duration | None = Field(
        None,
        ge=60,
        description="how often each channel is told that all is watched, to be acknowledged; default: never",
    )


class Heartbeat(WithSecrets):
    NEEDS = ("url",)

    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
    every: Duration = Field(300.0, ge=1)


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
    listen: str = "127.0.0.1:10785"
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
            raise ValueError(f'{value!r} is no address: write host:port, like "127.0.0.1:10785"')
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
