"""Settings of the command channel: the user's own program."""

from __future__ import annotations

from typing import ClassVar, Literal

from exporter.config.channels import ChannelBase
from exporter.config.values import Command


class CommandChannel(ChannelBase):
    FOR_MACHINES: ClassVar[bool] = True

    type: Literal["command"]
    command: Command
