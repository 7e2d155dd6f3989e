"""Settings of the apprise channel: the URL of one of a hundred services."""

from __future__ import annotations

from typing import Literal

from exporter.config.channels import ChannelBase
from exporter.config.values import WithUrl


class AppriseChannel(WithUrl, ChannelBase):
    type: Literal["apprise"]
