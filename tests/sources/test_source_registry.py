"""Every source is complete: a class, a configuration model, tests, and a section in docs/sources.md."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config, Target
from exporter.config.targets import TargetBase
from exporter.sources import Source, SourceContext, as_typed, build, source_class, source_names

ROOT = Path(__file__).parents[2]


def configured_names() -> set[str]:
    """The values of ``source`` that the configuration accepts."""
    union = typing.get_args(Target)[0]
    models: list[type[TargetBase]] = [*typing.get_args(union)]
    return {name for model in models for name in typing.get_args(model.model_fields["source"].annotation)}


def make(**target: Any) -> Source:
    (configured,) = Config.model_validate({"targets": [target]}).targets
    return build(configured, SourceContext(keyed_hash=str))


@pytest.mark.parametrize("name", sorted({*source_names(), *configured_names()}))
def test_source_is_complete(name: str) -> None:
    assert name in source_names(), f"the configuration accepts source {name!r}: add exporter/sources/{name}"
    assert Source in source_class(name).__mro__, f"exporter/sources/{name}: its class must inherit from Source"
    assert name in configured_names(), f"source {name!r} has no model in exporter/config/targets.py"
    assert (ROOT / f"tests/sources/test_{name}.py").exists(), f"source {name!r} has no tests/sources/test_{name}.py"
    headings = re.findall(r"^#+ `(\w+)`", (ROOT / "docs/sources.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert name in headings, f"source {name!r} has no section in docs/sources.md: add one titled like ## `{name}`"


@pytest.mark.parametrize("name", source_names())
def test_source_is_built_from_its_target_alone(name: str) -> None:
    source = make(source=name)
    assert isinstance(source, source_class(name))
    assert source.kind == name


@pytest.mark.parametrize(
    ("target", "agents"),
    [
        ({"source": "openclaw", "agents": ["main", "work"]}, ["main", "work"]),
        ({"source": "store", "agents": ["main"]}, ["main"]),
        ({"source": "gateway", "agents": ["main"]}, ["main"]),
        ({"source": "auto", "agents": ["main"]}, ["main"]),
        ({"source": "openclaw"}, None),
        ({"source": "simulated"}, None),
        ({"source": "claude"}, ["claude-code"]),
    ],
)
def test_configured_agents_are_known_without_asking(target: dict[str, Any], agents: list[str] | None) -> None:
    assert make(**target).configured_agents() == agents


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ({"source": "openclaw"}, "openclaw"),
        ({"source": "openclaw", "command": ["/opt/o c/openclaw"]}, "'/opt/o c/openclaw'"),
        ({"source": "openclaw", "ssh": "me@vps"}, "ssh -t me@vps openclaw"),
        ({"source": "openclaw", "command": ["docker", "exec", "gw", "openclaw"]}, "docker exec -it gw openclaw"),
        ({"source": "store", "state_dir": "/oc"}, "OPENCLAW_STATE_DIR=/oc openclaw"),
        ({"source": "gateway", "state_dir": "~/oc"}, "OPENCLAW_STATE_DIR=~/oc openclaw"),
        ({"source": "auto", "state_dir": "~/.openclaw"}, "openclaw"),
    ],
)
def test_openclaw_is_called_as_the_target_says(target: dict[str, Any], command: str) -> None:
    assert str(make(**target).programs().openclaw) == command


def test_program_that_path_finds_goes_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "openclaw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    command = [str(program), "--dev"]
    assert as_typed(command, {"PATH": str(tmp_path)}) == ("openclaw", "--dev")
    for environ in ({"PATH": "/usr/bin"}, None):
        assert as_typed(command, environ) == tuple(command)


def test_claude_code_is_called_as_the_target_says() -> None:
    programs = make(source="claude", command=["docker", "exec", "box", "claude"]).programs()
    assert str(programs.claude) == "docker exec -it box claude"
    assert str(make(source="openclaw", ssh="me@vps").programs().claude) == "ssh -t me@vps claude"


@pytest.mark.parametrize(
    ("target", "has_openclaw", "can_renew"),
    [
        ({"source": "openclaw"}, False, True),
        ({"source": "claude"}, False, True),
        ({"source": "auto"}, False, True),
        ({"source": "store"}, True, True),
        ({"source": "store"}, False, False),
        ({"source": "gateway", "url": "http://[::1]:1"}, True, True),
        ({"source": "gateway", "url": "http://localhost:1"}, False, False),
        ({"source": "gateway", "url": "http://rack7:1"}, True, False),
        ({"source": "simulated"}, True, False),
    ],
)
def test_credential_is_renewed_where_its_openclaw_can_be_run(
    target: dict[str, Any], has_openclaw: bool, can_renew: bool
) -> None:
    assert (make(**target).renewal_obstacle(has_openclaw) is None) is can_renew
