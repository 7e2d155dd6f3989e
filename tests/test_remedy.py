"""The commands a person is given: for each kind of credential, release, agent, and way to call OpenClaw."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import agent

from exporter.config import parse
from exporter.model import Dialect
from exporter.verdict import remedies
from exporter.verdict.remedies import CommandContext, StepKind

OLD, MIDDLE, NEW = Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES
TOKEN = "--provider anthropic --profile-id anthropic:default --expires-in 365d"
KEY = "--provider openai --profile-id openai:key"
AUTH = "openclaw models auth"
LOGIN = f"{AUTH} login --provider openai"
FOLDER = ".openclaw/agents/work/agent"


@pytest.mark.parametrize(
    ("profile", "kind", "who", "dialect", "command"),
    [
        ("anthropic:default", "token", "main", OLD, f"{AUTH} paste-token {TOKEN}"),
        ("anthropic:default", "token", "main", MIDDLE, f"{AUTH} paste-token {TOKEN}"),
        ("anthropic:default", "token", "main", NEW, f"{AUTH} paste-token {TOKEN} --agent main"),
        (
            *("anthropic:default", "token", "work", OLD),
            f"OPENCLAW_AGENT_DIR=~/.openclaw/agents/work/agent openclaw models auth paste-token {TOKEN}",
        ),
        ("anthropic:default", "token", "work", MIDDLE, f"openclaw models auth --agent work paste-token {TOKEN}"),
        ("anthropic:default", "token", "work", NEW, f"{AUTH} paste-token {TOKEN} --agent work"),
        ("openai:key", "api_key", "main", OLD, f"{AUTH} paste-token {KEY}"),
        ("openai:key", "api_key", "main", MIDDLE, f"{AUTH} paste-api-key {KEY}"),
        ("openai:key", "api_key", "work", NEW, f"{AUTH} paste-api-key {KEY} --agent work"),
        ("anthropic:api", "api_key", "main", OLD, "openclaw configure --section model"),
        ("openai:login", "oauth", "main", OLD, "openclaw configure --section model"),
        ("qwen-portal:me", "oauth", "main", OLD, "openclaw models auth login --provider qwen-portal"),
        ("openai:login", "oauth", "main", MIDDLE, LOGIN),
        ("openai:login", "oauth", "main", NEW, f"{LOGIN} --profile-id openai:login --agent main"),
        ("openai:other", "token", "main", MIDDLE, f"{AUTH} paste-token --provider openai --profile-id openai:other"),
        ("claude.ai", "oauth", "claude-code", Dialect.LOGIN, "claude auth login"),
        ("env:KEY", "api_key", "main", NEW, "Set a new KEY in the service's environment and restart it"),
    ],
)
def test_each_kind_on_each_release(profile: str, kind: str, who: str, dialect: Dialect, command: str) -> None:
    *before, last = remedies.renew(profile, profile.split(":")[0], kind, CommandContext(who, dialect))
    assert last == command
    assert before == (["claude setup-token"] if profile == "anthropic:default" else [])


def test_how_each_step_is_done() -> None:
    def ways(profile: str, kind: str, dialect: Dialect = NEW) -> list[StepKind]:
        return [
            step.way for step in remedies.steps(profile, profile.split(":")[0], kind, CommandContext("main", dialect))
        ]

    assert ways("anthropic:default", "token") == [StepKind.MAKE, StepKind.PASTE]
    assert ways("openai:key", "api_key") == [StepKind.PASTE]
    assert ways("openai:login", "oauth") == [StepKind.RUN]
    assert ways("env:KEY", "api_key") == [StepKind.ADVICE]


def test_how_long_a_token_lives_is_configured() -> None:
    from exporter.alerts.lifecycle.policy import commands_of

    life = commands_of(parse('{policy: {setup_token_lifetime: "90d"}}'))
    from reports import profile

    assert life(agent(), profile())[1].endswith("--expires-in 90d --agent main")


@pytest.mark.parametrize(
    ("command", "ssh", "state_dir", "tty", "piped"),
    [
        (["openclaw"], None, None, "openclaw", "openclaw"),
        (["/opt/oc/bin/openclaw"], None, None, "openclaw", "openclaw"),
        (["openclaw"], None, "~/o c", "OPENCLAW_STATE_DIR=~/'o c' openclaw", "OPENCLAW_STATE_DIR=~/'o c' openclaw"),
        (["docker", "exec", "gw", "openclaw"], None, None, "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (["docker", "exec", "gw", "openclaw"], None, "/x", "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (["sudo", "-u", "oc", "openclaw"], None, None, "sudo -u oc openclaw", "sudo -u oc openclaw"),
        (["openclaw"], "me@vps", None, "ssh -t me@vps openclaw", "ssh me@vps openclaw"),
        (["/opt/oc/openclaw"], "vps", None, "ssh -t vps /opt/oc/openclaw", "ssh vps /opt/oc/openclaw"),
        (
            *(["openclaw"], "vps", "~/oc"),
            "ssh -t vps env 'OPENCLAW_STATE_DIR=$HOME/oc' openclaw",
            "ssh vps env 'OPENCLAW_STATE_DIR=$HOME/oc' openclaw",
        ),
    ],
)
def test_how_openclaw_is_called(
    command: list[str], ssh: str | None, state_dir: str | None, tty: str, piped: str
) -> None:
    assert remedies.words(command, ssh, state_dir) == tty
    assert remedies.words(command, ssh, state_dir, tty=False) == piped


@pytest.mark.parametrize(
    ("openclaw", "beginning"),
    [
        ("openclaw", f"OPENCLAW_AGENT_DIR=~/{FOLDER} openclaw"),
        (
            "OPENCLAW_STATE_DIR=~/oc openclaw",
            "OPENCLAW_AGENT_DIR=~/oc/agents/work/agent OPENCLAW_STATE_DIR=~/oc openclaw",
        ),
        ("ssh -t vps openclaw", f"ssh -t vps env 'OPENCLAW_AGENT_DIR=$HOME/{FOLDER}' openclaw"),
        ("ssh vps openclaw", f"ssh vps env 'OPENCLAW_AGENT_DIR=$HOME/{FOLDER}' openclaw"),
        ("docker exec -i gw openclaw", f"docker exec -i gw sh -c 'OPENCLAW_AGENT_DIR=~/{FOLDER} openclaw"),
    ],
)
def test_the_oldest_release_knows_an_agent_by_its_folder(openclaw: str, beginning: str) -> None:
    *_, command = remedies.renew("anthropic:default", "anthropic", "token", CommandContext("work", OLD, openclaw))
    assert command.startswith(f"{beginning} models auth paste-token ")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_what_a_profile_is_called_reaches_openclaw_as_it_is(name: str) -> None:
    """Here through one shell, over ssh through two."""
    here = remedies.renew(name, "x", "token", CommandContext("main", NEW, "openclaw"))[-1]
    assert name.startswith("env:") or shlex.split(here)[7] == name
    over_there = remedies.renew(name, "x", "token", CommandContext("main", NEW, "ssh -t me@vps openclaw"))[-1]
    handed_over = " ".join(shlex.split(over_there)[3:])  # what ssh makes of its arguments
    assert name.startswith("env:") or shlex.split(handed_over)[7] == name


def test_what_ends_a_disable() -> None:
    def clear(kind: str, dialect: Dialect, profile: str = "anthropic:default") -> str | None:
        step = remedies.clear(profile, "anthropic", kind, CommandContext("main", dialect))
        return step.text if step else None

    login = "openclaw models auth login --provider anthropic --method"
    assert clear("token", MIDDLE) == f"{login} setup-token --profile-id anthropic:default"
    assert clear("api_key", NEW) == f"{login} api-key --profile-id anthropic:default --agent main"
    assert clear("token", OLD) is None
    assert clear("oauth", NEW) is None
    assert clear("token", Dialect.LOGIN) is None
    assert clear("api_key", NEW, "env:KEY") is None


def test_where_to_pay() -> None:
    assert remedies.billing_page("anthropic", "token") == "https://claude.ai/settings/billing"
    assert remedies.billing_page("anthropic", "api_key") == "https://console.anthropic.com/settings/billing"
    assert remedies.billing_page("acme", "api_key") is None


def test_how_a_gateway_is_restarted() -> None:
    assert remedies.restart("ssh -t vps openclaw").text == "ssh -t vps openclaw gateway restart"
    assert remedies.restart("docker exec -it gw openclaw").way is StepKind.ADVICE
    assert remedies.restart("OPENCLAW_STATE_DIR=~/oc openclaw").way is StepKind.RUN


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ("2026.2.9", OLD),
        ("2026.4.15", OLD),
        ("2026.6.11", MIDDLE),
        ("2026.7.1", MIDDLE),
        ("2026.8.2", NEW),
        (None, NEW),
    ],
)
def test_whose_commands_a_release_takes(version: str | None, dialect: Dialect) -> None:
    assert remedies.dialect_of(agent(openclaw_version=version)) is dialect
    assert remedies.dialect_of(agent(openclaw_version=version, source="claude")) is Dialect.LOGIN
