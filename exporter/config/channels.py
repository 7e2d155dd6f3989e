"""Who can be told: a model per channel."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator

from exporter.config.values import Command, FilePath, Model, TargetName, WithSecrets

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
