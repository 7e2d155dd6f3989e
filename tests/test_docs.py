"""The documents describe every configuration key with its default."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from exporter.config import channels, models, targets, values

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| `(\w+)` \| ?(.*?) ?\|", re.MULTILINE)


def source_models() -> dict[str, type[targets.TargetBase]]:
    """The model of each source that a configuration may name."""
    union = typing.get_args(targets.Target)[0]
    models: list[type[targets.TargetBase]] = [*typing.get_args(union)]
    return {typing.get_args(model.model_fields["source"].annotation)[0]: model for model in models}


#: Heading of docs/configuration.md -> the model it documents, and the base whose keys are documented before.
SECTIONS: dict[str, tuple[type[BaseModel], type[BaseModel] | None]] = {
    "Top level": (models.Config, None),
    "Targets": (targets.TargetBase, None),
    **{f"source `{name}`": (model, targets.TargetBase) for name, model in source_models().items()},
    "Lists of targets": (targets.ListBase, None),
    "list `file`": (targets.FileLists, targets.ListBase),
    "list `http`": (targets.HttpList, targets.ListBase),
    "defaults": (targets.ListDefaults, None),
    "Policy": (models.Policy, None),
    "Profiles": (models.ProfilePolicy, None),
    "Thresholds of targets": (models.TargetPolicy, None),
    "Providers": (models.ProviderPolicy, None),
    "Alerts": (models.Alerts, None),
    "Channels": (channels.ChannelBase, None),
    "quiet_hours": (channels.QuietHours, None),
    "Heartbeat": (models.Heartbeat, None),
    "OpenTelemetry": (models.Otlp, None),
    "Web": (models.Web, None),
    "tls": (models.Tls, None),
    "A web configuration file": (BaseModel, None),
    "Regular expressions": (BaseModel, None),
}


def sections(document: str = "docs/configuration.md") -> dict[str, str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    parts = re.split(r"^##+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def keys_of(model: type[BaseModel], base: type[BaseModel] | None) -> dict[str, str]:
    """Key -> its default as written in a configuration; empty without one, or if it has a table of its own."""
    keys = {"type": ""} if model is channels.ChannelBase else {}
    before = set(base.model_fields) if base else set()
    for name, field in model.model_fields.items():
        key = field.alias or name
        is_way = key.endswith(("_file", "_env")) and key.rsplit("_", 1)[0] in _plain(model)
        if name in before or is_way or key == "type":
            continue
        keys[key] = _default(model, name, field.default)
    return keys


def _plain(model: type[BaseModel]) -> set[str]:
    return {(field.alias or name) for name, field in model.model_fields.items()}


def _default(model: type[BaseModel], name: str, default: Any) -> str:
    if default is PydanticUndefined or isinstance(default, values.Model):
        return ""
    if name == "targets" and model is models.Config:
        return "one `auto` target named `local`"
    instance = model.model_construct()
    shown = json.loads(instance.model_dump_json(include={name}, warnings=False))[name]
    return f"`{json.dumps(shown)}`"


def test_every_section_is_there() -> None:
    missing = sorted(SECTIONS.keys() - sections().keys())
    assert not missing, f"docs/configuration.md has no section {missing}: add one with a table of its keys"
    assert set(sections()) == set(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_with_its_default(heading: str) -> None:
    assert dict(ROW.findall(sections()[heading])) == keys_of(*SECTIONS[heading])


@pytest.mark.parametrize("model", channels.channel_models(), ids=channels.channel_types())
def test_every_key_of_a_channel_is_in_its_section_with_its_default(model: type[channels.ChannelBase]) -> None:
    section = sections("docs/notifications.md")[model.__module__.rpartition(".")[2]]
    assert dict(ROW.findall(section)) == keys_of(model, channels.ChannelBase)
