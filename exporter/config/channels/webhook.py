"""A webhook: JSON to any URL."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from exporter.config.channels import ChannelBase
from exporter.config.values import FilePath


class WebhookChannel(ChannelBase):
    NEEDS = ("url",)

    type: Literal["webhook"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
    secret_: Annotated[SecretStr | None, Field(alias="secret")] = None
    secret_file: FilePath | None = None
    secret_env: str | None = None
