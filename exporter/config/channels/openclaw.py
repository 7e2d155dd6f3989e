"""Settings of the openclaw channel: OpenClaw's own ``message send``."""

from __future__ import annotations

from typing import Literal

from exporter.config.channels import ChannelBase
from exporter.config.values import Command


class OpenClawChannel(ChannelBase):
    type: Literal["openclaw"]
    channel: str
    recipient: str
    command: Command = ["openclaw"]
