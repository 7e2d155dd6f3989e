"""A channel is complete: its module, its config model, its test file and its section of the docs exist."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import get_args

import pytest

from exporter.alerts import channels
from exporter.config.channels import ChannelBase, channel_models, channel_types

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
