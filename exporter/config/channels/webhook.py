"""Settings of the webhook channel: where to post JSON, and the secret that signs it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import SecretStr

from exporter.config.channels import ChannelBase
from exporter.config.values import FilePath, WithUrl


class WebhookChannel(WithUrl, ChannelBase):
    FOR_MACHINES: ClassVar[bool] = True

    type: Literal["webhook"]
    secret: SecretStr | None = None
    secret_file: FilePath | None = None
    secret_env: str | None = None
