"""A channel is complete: its module, its config model, its test file and its section of the docs exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from exporter.alerts import channels
from exporter.alerts.delivery.delivery import Senders, build_senders
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.config import Config
from exporter.config.channels import ChannelBase, channel_models, channel_types

from .messages import NOW, outgoing

ROOT = Path(__file__).parents[2]
MODULES = [module.name for module in pkgutil.iter_modules(channels.__path__) if not module.name.startswith("_")]


def missing(name: str) -> list[str]:
    """What the channel type ``name`` still needs, as sentences."""
    headings = (ROOT / "docs/notifications.md").read_text(encoding="utf-8").splitlines()
    found = {
        f"exporter/config/channels/{name}.py is missing: write its config model, a subclass of ChannelBase": name
        in channel_types(),
        f"exporter/alerts/channels/{name}.py is missing, or has no build(): it sends the messages": name in MODULES
        and hasattr(importlib.import_module(f"exporter.alerts.channels.{name}"), "build"),
        f"tests/alerts/test_channel_{name}.py is missing: write its test": (
            ROOT / f"tests/alerts/test_channel_{name}.py"
        ).exists(),
        f"docs/notifications.md has no section '### {name}'": f"### {name}" in headings,
    }
    return [sentence for sentence, is_there in found.items() if not is_there]


@pytest.mark.parametrize("name", sorted({*MODULES, *channel_types()}))
def test_channel_is_complete(name: str) -> None:
    assert not missing(name), f"channel {name!r}: {'; '.join(missing(name))}"


def test_forgotten_parts_of_a_channel_are_named() -> None:
    assert [sentence.split(" is missing")[0] for sentence in missing("toy")] == [
        "exporter/config/channels/toy.py",
        "exporter/alerts/channels/toy.py",
        "tests/alerts/test_channel_toy.py",
        "docs/notifications.md has no section '### toy'",
    ]


@pytest.mark.parametrize("model", channel_models(), ids=channel_types())
def test_type_of_a_channel_is_the_name_of_its_module(model: type[ChannelBase]) -> None:
    assert model.__module__ == f"exporter.config.channels.{get_args(model.model_fields['type'].annotation)[0]}"


def test_messages_and_quiet_hours_are_in_the_zone_of_the_configuration_unless_they_name_another() -> None:
    hours = {"from": "22:00", "to": "07:00"}
    channel = {"type": "command", "command": ["true"]}
    config = Config.model_validate(
        {
            "timezone": "Asia/Tokyo",
            "channels": [
                {**channel, "name": "a"},
                {**channel, "name": "b", "quiet_hours": hours},
                {**channel, "name": "c", "quiet_hours": {**hours, "timezone": "Europe/Stockholm"}},
            ],
        }
    )
    assert [_zone_of(channel, build_senders(config)) for channel in config.channels] == [
        "Asia/Tokyo",
        "Asia/Tokyo",
        "Europe/Stockholm",
    ]
    quiet = [each.quiet for each in AlertPolicy.of(config).channels]
    assert [period.zone.key if period else None for period in quiet] == [None, "Asia/Tokyo", "Europe/Stockholm"]


def _zone_of(channel: ChannelBase, senders: Senders) -> str:
    """The zone in which a message of the channel is written."""
    sender: Any = senders.channels[channel.name]
    text = sender.context.render(channel, outgoing().message, now=NOW)
    found = re.search(r"(JST|CET|UTC)", text.title + text.body)
    assert found is not None
    return {"JST": "Asia/Tokyo", "CET": "Europe/Stockholm"}.get(found[1], found[1])
