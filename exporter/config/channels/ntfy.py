"""ntfy: push notifications to a phone."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from exporter.config.channels import ChannelBase
from exporter.config.values import FilePath


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
