"""Settings of the ntfy channel: the server, the topic and how to sign in."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import SecretStr

from exporter.config.channels import ChannelBase
from exporter.config.values import FilePath, WithToken, WithUrl


class NtfyChannel(WithToken, WithUrl, ChannelBase):
    NEEDS = ("topic",)
    CAN_WITHDRAW: ClassVar[bool] = True

    type: Literal["ntfy"]
    topic: SecretStr | None = None
    topic_file: FilePath | None = None
    topic_env: str | None = None
