"""Settings of the termux channel: a notification on the phone that the exporter runs on."""

from __future__ import annotations

from typing import Literal

from exporter.config.channels import ChannelBase


class TermuxChannel(ChannelBase):
    type: Literal["termux"]
