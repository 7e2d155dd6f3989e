"""apprise: a hundred services, each by a URL."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from exporter.config.channels import ChannelBase
from exporter.config.values import FilePath


class AppriseChannel(ChannelBase):
    NEEDS = ("url",)

    type: Literal["apprise"]
    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None
