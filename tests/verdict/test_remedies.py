"""The steps a person is given: for each fault, kind of credential, release, and way to call OpenClaw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reports import HOUR, NOW, compare_golden

from exporter.model import Dialect, Step, StepAction, StepKind, Unusable
from exporter.verdict import recovery, remedies
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.releases import commands_of
from exporter.verdict.remedies import CommandContext, StoredCredential

RELEASES = ("2026.1.29", "2026.2.9", "2026.5.12", "2026.6.11", "2026.8.2", "2026.9.6")
IN_CONTAINER = ("docker", "exec", "gw", "openclaw")

TOKEN = StoredCredential("anthropic:default", "anthropic", "token")
KEY = StoredCredential("xai:api", "xai", "api_key")
LOGIN = StoredCredential("minimax-portal:default", "minimax-portal", "oauth")
COPILOT = StoredCredential("github-copilot:github", "github-copilot", "token")
VAULT = "exec:vault-old:xai/key"

Make = Callable[[CommandContext], tuple[Step, ...]]


def renewal(credential: StoredCredential) -> Make:
    return lambda context: remedies.renewal_steps(credential, context)


def recovered(credential: StoredCredential, reason: str) -> Make:
    return lambda context: recovery.recovery_steps(credential, Unusable("disabled", reason, NOW + 5 * HOUR), context)


def first(provider: str, kind: str | None = None) -> Make:
    return lambda context: remedies.first_credential_steps(provider, context, kind)


FAULTS: dict[str, Make] = {
    "a token expired, expires, or has no date": renewal(TOKEN),
    "a token was revoked": recovered(TOKEN, "auth_permanent"),
    "a token is not paid for": recovered(TOKEN, "billing"),
    "a token of another name was revoked": recovered(TOKEN._replace(profile="anthropic:work"), "auth_permanent"),
    "a token has a rate limit": recovered(TOKEN, "rate_limit"),
    "a token's reference is broken": renewal(TOKEN._replace(reference=VAULT, has_broken_reference=True)),
    "anthropic is missing": first("anthropic"),
    "a key has no secret": renewal(KEY),
    "a key was revoked": recovered(KEY, "auth_permanent"),
    "a key is not paid for": recovered(KEY, "billing"),
    "a key is not used, and nothing says why": renewal(KEY._replace(is_unexplained=True)),
    "a key's reference is broken": renewal(KEY._replace(reference=VAULT, has_broken_reference=True)),
    "a key of a provider without logins was revoked": recovered(
        StoredCredential("acme:api", "acme", "api_key"), "auth_permanent"
    ),
    "an Anthropic key was revoked": recovered(TOKEN._replace(kind="api_key"), "auth_permanent"),
    "xai is missing": first("xai"),
    "openai is missing": first("openai"),
    "openai is missing, and had a login": first("openai", "oauth"),
    "a login expired": renewal(LOGIN),
    "a login's session expired": recovered(LOGIN, "session_expired"),
    "Copilot is missing": first("github-copilot"),
    "Copilot was revoked": recovered(COPILOT, "auth_permanent"),
    "Copilot was revoked, under another name": recovered(
        COPILOT._replace(profile="github-copilot:backup2"), "auth_permanent"
    ),
    "Ollama is missing": first("ollama"),
    "Bedrock is missing": first("amazon-bedrock"),
    "Claude Code's login, which OpenClaw borrows, is missing": first("claude-cli"),
    "a variable's key is refused": renewal(StoredCredential("env:XAI_API_KEY", "xai", "api_key")),
    "good profiles are not in the order": lambda context: recovery.order_steps(
        "github-copilot", ["github-copilot:backup2"], ["github-copilot:backup"], context
    ),
    "the store was not migrated": remedies.doctor_steps,
}

PLACES: dict[str, tuple[str, str | None, Invocation]] = {
    "a second agent with its own store": ("ops", "ops", Invocation()),
    "a second agent that inherits it": ("ops", "main", Invocation()),
    "another state folder": ("ops", "ops", Invocation(state_dir="~/o c")),
    "--profile work": ("ops", "ops", Invocation(("openclaw", "--profile", "work"))),
    "--dev": ("ops", "ops", Invocation(("openclaw", "--dev"))),
    "OPENCLAW_PROFILE in the env_file": ("ops", "ops", Invocation(variables=(("OPENCLAW_PROFILE", "work"),))),
    "another user": ("ops", "ops", Invocation(("sudo", "-u", "oc", "openclaw"))),
    "over ssh": ("ops", "ops", Invocation(ssh="me@vps")),
    "over ssh, another state folder": ("ops", "ops", Invocation(ssh="me@vps", state_dir="~/o c")),
    "in a container": ("ops", "ops", Invocation(IN_CONTAINER)),
    "in a container over ssh": ("ops", "ops", Invocation(IN_CONTAINER, ssh="vps")),
    "in a pod": ("ops", "ops", Invocation(("kubectl", "exec", "-n", "ai", "pod-1", "-c", "oc", "--", "openclaw"))),
}


def context(agent: str = "main", release: str = "2026.9.6", openclaw: Invocation | None = None) -> CommandContext:
    return CommandContext(agent, commands_of(release, Dialect.ROUTES), Programs(openclaw or Invocation()))


def shown(steps: tuple[Step, ...]) -> Iterator[str]:
    marks = {StepKind.COMMAND: "$", StepKind.WAIT: "…", StepKind.NOTE: "#"}
    for step in steps:
        needs = f"   [{', '.join(step.needs)}]" if step.needs else ""
        yield f"  {marks[step.kind]} {step.text}{needs}"


@pytest.mark.golden
@pytest.mark.parametrize("release", RELEASES)
def test_remedy_of_each_fault(release: str) -> None:
    """The commands that the closed loop types into the real releases (``tests/real/test_closed_loop.py``)."""
    lines = []
    for fault, make in FAULTS.items():
        lines += [fault, *shown(make(context(release=release))), ""]
    lines.append("Where an expired token is renewed")
    for place, (agent, owner, openclaw) in PLACES.items():
        credential = TOKEN._replace(owner=owner)
        _, paste = remedies.renewal_steps(credential, context(agent, release, openclaw))
        host, user, home = paste.where.host, paste.where.user, paste.where.home
        lines += [f"{place}: host {host}, user {user or '-'}, home {home or '-'}", *shown((paste,))]
    compare_golden(f"remedies-{release}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("fault", FAULTS)
def test_commands_have_no_placeholders_and_say_what_they_need(fault: str, release: str) -> None:
    for step in FAULTS[fault](context(release=release)):
        if step.kind is StepKind.COMMAND:
            assert step.text.split()[0] in ("openclaw", "claude"), step
            assert not {"DATE", "ID", "PROFILE", "AGENT", "<", "..."} & set(step.text.split())
            assert step.title
            assert not step.needs or "terminal" in step.needs
        else:
            assert not step.text.startswith(("openclaw", "claude"))
            assert step.text[-1] in ".:" or "policy.providers" in step.text or "https://" in step.text
            assert not step.needs


@pytest.mark.parametrize(
    ("version", "dialect", "like"),
    [
        ("2026.1.24-3", Dialect.STATUS, "2026.1.29"),
        ("2026.1.30", Dialect.STATUS, "2026.2.9"),
        ("2026.4.15", Dialect.STATUS, "2026.2.9"),
        ("2026.5.12", Dialect.STATUS, "2026.5.12"),  # it reports as 2026.2 does
        ("2026.7.35", Dialect.LISTING, "2026.6.11"),
        ("2026.9.1", Dialect.ROUTES, "2026.8.2"),
        ("2027.1.0", Dialect.ROUTES, "2026.9.6"),
        ("2026.2.9", Dialect.STORE, "2026.2.9"),
        ("2026.6.11", Dialect.GATEWAY, "2026.6.11"),
        (None, Dialect.STATUS, "2026.2.9"),
        (None, Dialect.LISTING, "2026.6.11"),
        (None, Dialect.ROUTES, "2026.9.6"),
        (None, Dialect.STORE, "2026.9.6"),
        ("unknown", Dialect.LISTING, "2026.6.11"),
    ],
)
def test_version_decides_the_spelling_and_where_it_is_unknown_the_dialect(
    version: str | None, dialect: Dialect, like: str
) -> None:
    assert commands_of(version, dialect) == commands_of(like, Dialect.ROUTES)


def test_oldest_release_is_given_the_folder_that_it_reported() -> None:
    reported = context("ops", "2026.2.9")._replace(agent_dir="/srv/o c/$(id)")
    _, paste = remedies.renewal_steps(TOKEN, reported)
    assert paste.text.startswith("OPENCLAW_AGENT_DIR='/srv/o c/$(id)' openclaw models auth paste-token ")


def test_login_that_would_overwrite_a_neighbour_is_only_begun() -> None:
    revoked = Unusable("disabled", "auth_permanent", NOW)
    steps = recovery.recovery_steps(KEY, revoked, context(release="2026.5.12"), ["xai:api", "xai:default"])
    assert [step.kind for step in steps] == [StepKind.NOTE, StepKind.COMMAND, StepKind.COMMAND]
    assert "press Ctrl-C there, and paste nothing" in steps[0].text
    assert steps[1].is_done_at_prompt
    assert "secret" not in steps[1].needs


def test_each_step_has_its_action() -> None:
    def actions(credential: StoredCredential) -> list[StepAction]:
        return [step.action for step in remedies.renewal_steps(credential, context())]

    assert actions(TOKEN) == [StepAction.MAKE, StepAction.PASTE]
    assert actions(KEY) == [StepAction.PASTE]
    assert actions(LOGIN) == [StepAction.RUN]
    assert actions(KEY._replace(profile="env:XAI_API_KEY")) == [StepAction.DO, StepAction.RUN]


def test_only_the_oldest_releases_print_what_is_pasted() -> None:
    def echoes(release: str) -> bool:
        *_, paste = remedies.renewal_steps(TOKEN, context(release=release))
        return paste.echoes

    assert [release for release in RELEASES if echoes(release)] == ["2026.1.29", "2026.2.9", "2026.5.12"]


def test_pasted_secret_is_piped_without_a_terminal() -> None:
    for openclaw, begins in (
        (Invocation(IN_CONTAINER), "docker exec -i gw openclaw models"),
        (Invocation(ssh="vps"), "ssh vps openclaw models"),
    ):
        *_, paste = remedies.renewal_steps(TOKEN, context(openclaw=openclaw))
        assert paste.piped.startswith(begins)


def test_token_lifetime_is_in_the_paste_command() -> None:
    *_, paste = remedies.renewal_steps(TOKEN, context()._replace(token_lifetime="90d"))
    assert paste.text.endswith("--expires-in 90d --agent main")


def test_claude_login_runs_where_claude_code_is() -> None:
    programs = Programs(claude=Invocation(("docker", "exec", "box", "claude")))
    claude_code = context("claude-code")._replace(programs=programs, is_claude_code=True)
    (step,) = remedies.renewal_steps(StoredCredential("claude-code:login", "anthropic", "oauth"), claude_code)
    assert (step.text, step.where.host) == ("docker exec -it box claude auth login", "box")


def test_borrowed_login_is_renewed_in_openclaws_container() -> None:
    login, _ = remedies.first_credential_steps("claude-cli", context(openclaw=Invocation(IN_CONTAINER, ssh="vps")))
    assert login.text == "ssh -t vps docker exec -it gw claude auth login"


def test_billing_page_depends_on_the_kind_of_credential() -> None:
    assert recovery.billing_page("anthropic", "token") == "https://claude.ai/settings/billing"
    assert recovery.billing_page("anthropic", "api_key") == "https://console.anthropic.com/settings/billing"
    assert recovery.billing_page("acme", "api_key") is None


def test_gateway_is_restarted_where_it_runs() -> None:
    def restarted_by(openclaw: Invocation) -> tuple[StepKind, str]:
        step = remedies.restart_step(context(openclaw=openclaw))
        return step.kind, step.text

    assert restarted_by(Invocation()) == (StepKind.COMMAND, "openclaw gateway restart")
    assert restarted_by(Invocation(ssh="vps")) == (StepKind.COMMAND, "ssh vps openclaw gateway restart")
    assert restarted_by(Invocation(IN_CONTAINER)) == (StepKind.NOTE, "Restart the gateway's container.")


def test_golden_files_are_those_of_the_releases() -> None:
    golden = Path(__file__).parents[1] / "golden"
    assert {path.name for path in golden.glob("remedies-*")} == {f"remedies-{release}.txt" for release in RELEASES}


def test_secret_that_is_kept_elsewhere_may_be_replaced_there() -> None:
    kept = KEY._replace(reference="env:default:XAI_KEY")
    for steps in (
        remedies.renewal_steps(kept, context()),
        recovery.recovery_steps(kept, Unusable("disabled", "auth_permanent", NOW), context()),
    ):
        assert steps[0].text == (
            "xai:api takes its secret from env:default:XAI_KEY: put the new one there. Or give it to OpenClaw itself:"
        )
    assert len(remedies.renewal_steps(KEY._replace(reference="store:default:X"), context())) == 1


def test_second_agent_of_a_release_that_signs_in_for_main_only() -> None:
    """2026.2: ``models auth login`` ignores OPENCLAW_AGENT_DIR (seen); the wizard follows it (read in its source)."""
    ops = context("ops", "2026.2.9")
    expired = StoredCredential("minimax-portal:default", "minimax-portal", "oauth")
    login, removal = remedies.renewal_steps(expired, ops)
    assert login.text == "openclaw models auth login --provider minimax-portal"
    file = "~/.openclaw/agents/ops/agent/auth-profiles.json"
    assert removal.text.startswith(f"Remove minimax-portal:default from {file}: ")
    assert remedies.first_credential_steps("minimax-portal", ops) == (login,)
    assert remedies.renewal_steps(expired, context("main", "2026.2.9")) == (login,)
    (signed_in,) = remedies.renewal_steps(expired, context("ops", "2026.5.12"))
    assert signed_in.text == "openclaw models auth --agent ops login --provider minimax-portal"
    key = StoredCredential("anthropic:default", "anthropic", "api_key")
    assert remedies.renewal_steps(key, ops)[-1].text == (
        "OPENCLAW_AGENT_DIR=~/.openclaw/agents/ops/agent openclaw configure --section model"
    )
