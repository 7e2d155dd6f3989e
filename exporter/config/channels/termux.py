"""Settings of the termux channel: a notification on the phone that the exporter runs on."""

from __future__ import annotations

from typing import ClassVar, Literal

from exporter.config.channels import ChannelBase


class TermuxChannel(ChannelBase):
    CAN_WITHDRAW: ClassVar[bool] = True

    type: Literal["termux"]
