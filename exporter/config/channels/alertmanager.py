"""Settings of the Alertmanager channel: the URLs of all instances of one cluster."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from exporter.config.channels import ChannelBase


class AlertmanagerChannel(ChannelBase):
    NOTIFIED: ClassVar[bool] = False

    type: Literal["alertmanager"]
    urls: Annotated[list[str], Field(min_length=1)]
