"""What the systemd unit of OpenClaw's gateway sets, and a key in a shell that its service does not have.

The units are those that ``openclaw gateway install`` writes: 2026.2.9 sets all in the unit, 2026.6.11 names a file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.sources.store import gateway_unit
from exporter.sources.store.environment import Environment, environment, only_here

UNIT = """[Unit]
Description=OpenClaw Gateway
After=network-online.target

[Service]
ExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js gateway --port 18789
EnvironmentFile=-%h/.openclaw/gateway.systemd.env
Environment=HOME=/home/me
Environment="XAI_API_KEY=a key" OPENCLAW_GATEWAY_PORT=18789
Environment=EMPTY=
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config/systemd/user").mkdir(parents=True)
    (tmp_path / ".openclaw").mkdir()
    return tmp_path


def write(home: Path, text: str, name: str = "openclaw-gateway.service") -> Path:
    path = home / ".config/systemd/user" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return home / ".openclaw"


def test_the_unit_and_its_file_set_variables(home: Path) -> None:
    state = write(home, UNIT)
    assert gateway_unit.variables(state) == frozenset({"HOME", "XAI_API_KEY", "OPENCLAW_GATEWAY_PORT"})
    (state / "gateway.systemd.env").write_text("GROQ_API_KEY=b\nHOME=\n")
    assert gateway_unit.variables(state) == frozenset({"XAI_API_KEY", "OPENCLAW_GATEWAY_PORT", "GROQ_API_KEY"})


def test_a_drop_in_adds_and_an_empty_line_takes_back(home: Path) -> None:
    state = write(home, UNIT)
    write(
        home,
        "[Service]\nEnvironment=\nEnvironment=A=1 \\\n  B=2\nPassEnvironment=C\n",
        "openclaw-gateway.service.d/a.conf",
    )
    assert gateway_unit.variables(state) == frozenset({"A", "B", "C"})


def test_a_named_home_has_a_unit_of_its_own(home: Path) -> None:
    write(home, UNIT, "openclaw-gateway-work.service")
    assert gateway_unit.variables(home / ".openclaw-work") is not None
    assert gateway_unit.variables(home / ".openclaw") is None
    for other in ("elsewhere", ".openclawed"):
        assert gateway_unit.variables(home / other) is None


@pytest.mark.parametrize(
    "text",
    [
        "Environment='A=1",  # a quotation mark that does not end
        "EnvironmentFile=/does/not/exist",  # the unit does not start
        "EnvironmentFile=-/etc/%i.env",
    ],
)
def test_what_a_unit_sets_is_unknown_if_it_is_not_clear(home: Path, text: str) -> None:
    assert gateway_unit.variables(write(home, f"[Service]\n{text}\n")) is None


def test_a_key_that_no_file_of_the_service_sets_is_only_here() -> None:
    env = environment({"env": {"GROQ_API_KEY": "c"}}, {"XAI_API_KEY": "a"}, None)
    names = ("XAI_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY")
    assert only_here(names, env, frozenset()) == ("OPENAI_API_KEY",)
    assert only_here(names, env, frozenset({"OPENAI_API_KEY"})) == ()


def test_nothing_is_said_where_the_service_is_unknown_or_asks_the_shell() -> None:
    assert only_here(["A_KEY"], Environment(), None) == ()
    assert only_here(["A_KEY"], environment({}, {}, {}), None) == ("A_KEY",)  # its own file was read
    asks = environment({"env": {"shellEnv": {"enabled": True}}}, {}, None)
    assert only_here(["A_KEY"], asks, frozenset()) == ()
