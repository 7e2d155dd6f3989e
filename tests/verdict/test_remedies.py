"""The commands a person is given: for each kind of credential, release, agent, and way to call OpenClaw."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Dialect, StepAction, StepKind
from exporter.verdict import remedies
from exporter.verdict.remedies import CommandContext, Invocation, Programs

OLD, MIDDLE, NEW = Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES
TOKEN = "--provider anthropic --profile-id anthropic:default --expires-in 365d"
KEY = "--provider openai --profile-id openai:key"
AUTH = "openclaw models auth"
LOGIN = f"{AUTH} login --provider openai"
FOLDER = ".openclaw/agents/work/agent"
IN_CONTAINER = ("docker", "exec", "gw", "openclaw")


def context(agent: str = "main", dialect: Dialect = NEW, openclaw: Invocation | None = None) -> CommandContext:
    return CommandContext(agent, dialect, Programs(openclaw or Invocation()))


def renewal_lines(profile: str, provider: str, kind: str, made: CommandContext) -> tuple[str, ...]:
    return tuple(step.text for step in remedies.renewal_steps(profile, provider, kind, made))


@pytest.mark.parametrize(
    ("profile", "kind", "agent", "dialect", "command"),
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
def test_each_kind_has_its_command_on_each_release(
    profile: str, kind: str, agent: str, dialect: Dialect, command: str
) -> None:
    *before, last = renewal_lines(profile, profile.split(":")[0], kind, context(agent, dialect))
    assert last == command
    assert before == (["claude setup-token"] if profile == "anthropic:default" else [])


def test_each_step_has_its_kind() -> None:
    def actions(profile: str, kind: str, dialect: Dialect = NEW) -> list[StepAction]:
        steps = remedies.renewal_steps(profile, profile.split(":")[0], kind, context(dialect=dialect))
        return [step.action for step in steps]

    assert actions("anthropic:default", "token") == [StepAction.MAKE, StepAction.PASTE]
    assert actions("openai:key", "api_key") == [StepAction.PASTE]
    assert actions("openai:login", "oauth") == [StepAction.RUN]


def test_only_the_oldest_releases_print_what_is_pasted() -> None:
    def echoes(dialect: Dialect) -> bool:
        *_, paste = remedies.renewal_steps("anthropic:default", "anthropic", "token", context(dialect=dialect))
        return paste.echoes

    assert [echoes(dialect) for dialect in (OLD, MIDDLE, NEW)] == [True, False, False]


def test_token_lifetime_is_in_the_paste_command() -> None:
    *_, paste = renewal_lines(
        "anthropic:default", "anthropic", "token", CommandContext("main", NEW, token_lifetime="90d")
    )
    assert paste.endswith("--expires-in 90d --agent main")


def test_claude_login_runs_where_claude_code_is() -> None:
    programs = Programs(claude=Invocation(("docker", "exec", "box", "claude")))
    login = CommandContext("claude-code", Dialect.LOGIN, programs)
    assert renewal_lines("claude-code:login", "anthropic", "oauth", login) == ("docker exec -it box claude auth login",)


@pytest.mark.parametrize(
    ("program", "ssh", "state_dir", "typed", "piped"),
    [
        (("openclaw",), None, None, "openclaw", "openclaw"),
        (("openclaw",), None, "~/.openclaw", "openclaw", "openclaw"),
        (("/opt/oc/bin/openclaw",), None, None, "openclaw", "openclaw"),
        (("openclaw",), None, "~/o c", "OPENCLAW_STATE_DIR=~/'o c' openclaw", "OPENCLAW_STATE_DIR=~/'o c' openclaw"),
        (IN_CONTAINER, None, None, "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (IN_CONTAINER, None, "/x", "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (("sudo", "-u", "oc", "openclaw"), None, None, "sudo -u oc openclaw", "sudo -u oc openclaw"),
        (("openclaw",), "me@vps", None, "ssh -t me@vps openclaw", "ssh me@vps openclaw"),
        (("/opt/oc/openclaw",), "vps", None, "ssh -t vps /opt/oc/openclaw", "ssh vps /opt/oc/openclaw"),
        (
            *(("openclaw",), "vps", "~/oc"),
            "ssh -t vps env 'OPENCLAW_STATE_DIR=$HOME/oc' openclaw",
            "ssh vps env 'OPENCLAW_STATE_DIR=$HOME/oc' openclaw",
        ),
    ],
)
def test_openclaw_is_called_as_configured(
    program: tuple[str, ...], ssh: str | None, state_dir: str | None, typed: str, piped: str
) -> None:
    invocation = Invocation(program, ssh, state_dir)
    assert str(invocation) == typed
    assert invocation.line(tty=False) == piped


@pytest.mark.parametrize(
    ("invocation", "beginning"),
    [
        (Invocation(), f"OPENCLAW_AGENT_DIR=~/{FOLDER} openclaw"),
        (
            Invocation(state_dir="~/o c"),
            "OPENCLAW_AGENT_DIR=~/'o c/agents/work/agent' OPENCLAW_STATE_DIR=~/'o c' openclaw",
        ),
        (Invocation(ssh="vps"), f"ssh -t vps env 'OPENCLAW_AGENT_DIR=$HOME/{FOLDER}' openclaw"),
        (
            Invocation(ssh="vps", state_dir="/oc"),
            "ssh -t vps env OPENCLAW_AGENT_DIR=/oc/agents/work/agent OPENCLAW_STATE_DIR=/oc openclaw",
        ),
        (Invocation(IN_CONTAINER), f"docker exec -it gw sh -c 'OPENCLAW_AGENT_DIR=~/{FOLDER} openclaw"),
    ],
)
def test_oldest_release_is_given_the_agents_folder(invocation: Invocation, beginning: str) -> None:
    old = CommandContext("work", OLD, Programs(invocation))
    *_, command = renewal_lines("anthropic:default", "anthropic", "token", old)
    assert command.startswith(f"{beginning} models auth paste-token ")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_profile_name_survives_every_shell(name: str) -> None:
    """One shell here, two over ssh."""
    here = renewal_lines(name, "x", "token", context())[-1]
    assert name.startswith("env:") or shlex.split(here)[7] == name
    over_ssh = renewal_lines(name, "x", "token", context(openclaw=Invocation(ssh="me@vps")))[-1]
    received = " ".join(shlex.split(over_ssh)[3:])  # what ssh makes of its arguments
    assert name.startswith("env:") or shlex.split(received)[7] == name


def test_disable_is_ended_by_a_login_from_2026_6_on() -> None:
    def ended_by(kind: str, dialect: Dialect, profile: str = "anthropic:default") -> tuple[str, bool] | None:
        step = remedies.end_disable_step(profile, "anthropic", kind, context(dialect=dialect))
        return (step.text, step.is_done_at_prompt) if step else None

    login = "openclaw models auth login --provider anthropic --method"
    assert ended_by("token", MIDDLE) == (f"{login} setup-token --profile-id anthropic:default", True)
    assert ended_by("api_key", NEW) == (f"{login} api-key --profile-id anthropic:default --agent main", False)
    assert ended_by("token", OLD) is None
    assert ended_by("oauth", NEW) is None
    assert ended_by("token", Dialect.LOGIN) is None
    assert ended_by("api_key", NEW, "env:KEY") is None


def test_billing_page_depends_on_the_kind_of_credential() -> None:
    assert remedies.billing_page("anthropic", "token") == "https://claude.ai/settings/billing"
    assert remedies.billing_page("anthropic", "api_key") == "https://console.anthropic.com/settings/billing"
    assert remedies.billing_page("acme", "api_key") is None


def test_gateway_is_restarted_where_it_runs() -> None:
    def restarted_by(openclaw: Invocation) -> tuple[StepKind, str]:
        step = remedies.restart_gateway_step(context(openclaw=openclaw))
        assert step is not None
        return step.kind, step.text

    assert restarted_by(Invocation()) == (StepKind.COMMAND, "openclaw gateway restart")
    assert restarted_by(Invocation(ssh="vps")) == (StepKind.COMMAND, "ssh -t vps openclaw gateway restart")
    assert restarted_by(Invocation(IN_CONTAINER)) == (StepKind.NOTE, "Restart the gateway's container")
    assert remedies.restart_gateway_step(context(dialect=Dialect.LOGIN)) is None


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
def test_store_and_gateway_commands_follow_the_version(version: str | None, dialect: Dialect) -> None:
    assert remedies.command_dialect(Dialect.STORE, version) is dialect
    assert remedies.command_dialect(Dialect.GATEWAY, version) is dialect
    assert remedies.command_dialect(Dialect.LOGIN, version) is Dialect.LOGIN
    assert remedies.command_dialect(OLD, version) is OLD
