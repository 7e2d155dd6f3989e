"""The commands that fix a condition: what a person types for one profile, agent, host and OpenClaw release.

The verdict and reminders show these commands, ``reauth`` runs them. How a command is spelled on each
release is known here only; it was tried on 2026.2.9, 2026.6.11 and 2026.9.6.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import lru_cache

from exporter.model import AgentReport, Dialect, Need, Step, StepAction, StepKind, command, note

#: Lifetime of a setup-token unless ``policy.setup_token_lifetime`` says otherwise.
TOKEN_LIFETIME = "365d"

#: A setup-token as Claude Code prints it: its first characters and its length.
TOKEN_BEGINS, TOKEN_LENGTH = "sk-ant-oat01-", 108

#: Reasons of a cooldown or disable that only a person can resolve.
NEEDS_PERSON = frozenset({"auth", "auth_permanent", "session_expired", "billing"})

#: Where to pay, by provider. A setup-token is paid for by its subscription.
BILLING_PAGES = {
    "anthropic": "https://console.anthropic.com/settings/billing",
    "openai": "https://platform.openai.com/settings/organization/billing",
    "openrouter": "https://openrouter.ai/settings/credits",
}
SUBSCRIPTION_PAGE = "https://claude.ai/settings/billing"

#: Programs that run a command inside a container.
_CONTAINER_PROGRAMS = frozenset({"docker", "podman", "nerdctl", "kubectl", "oc"})
#: Providers for which 2026.2 signs in through its wizard; its ``models auth login`` serves plugins only.
_WIZARD_LOGINS = frozenset({"anthropic", "openai", "openai-codex", "chutes"})
_DEFAULT_STATE_DIR = "~/.openclaw"


# --- how a program is called -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a person on this host calls a program: directly, inside a container, or over ssh.

    ``str()`` gives what a command line begins with, like ``ssh -t me@vps openclaw``.
    """

    program: tuple[str, ...] = ("openclaw",)
    ssh: str | None = None
    state_dir: str | None = None  # OPENCLAW_STATE_DIR, unless it is OpenClaw's default

    def __str__(self) -> str:
        return self.line()

    @property
    def is_in_container(self) -> bool:
        return self.program[0].rpartition("/")[2] in _CONTAINER_PROGRAMS

    def line(self, *arguments: str, tty: bool = True, agent: str | None = None) -> str:
        """The shell command that runs the program with ``arguments``.

        ``tty=False`` is for the end of a pipe. ``agent`` puts the agent's folder into the environment:
        the oldest releases know an agent by nothing else.
        """
        if agent is not None and self.ssh is None and self.is_in_container:
            *enter, program = self._words(tty)
            variable = f"OPENCLAW_AGENT_DIR={_local_path(f'{_DEFAULT_STATE_DIR}/agents/{agent}/agent')}"
            inside = " ".join([variable, program, *map(_quoted, arguments)])
            return f"{shlex.join(enter)} sh -c {shlex.quote(inside)}"
        quoted = map(_quoted if self.ssh is None else _quoted_twice, arguments)
        return " ".join([_prefix(self, tty, agent), *quoted])

    def _words(self, tty: bool) -> list[str]:
        """The program's own words. A single local program goes by its name; its folder must be on PATH."""
        if len(self.program) == 1 and self.ssh is None:
            return [self.program[0].rpartition("/")[2]]
        words = list(self.program)
        if self.is_in_container and "exec" in words:
            words.insert(words.index("exec") + 1, "-it" if tty else "-i")
        return words


@lru_cache(maxsize=1024)  # every remedy of every check begins with one
def _prefix(invocation: Invocation, tty: bool, agent: str | None) -> str:
    words, state_dir = invocation._words(tty), invocation.state_dir
    variables = {}
    if agent is not None:
        variables["OPENCLAW_AGENT_DIR"] = f"{state_dir or _DEFAULT_STATE_DIR}/agents/{agent}/agent"
    if state_dir not in (None, _DEFAULT_STATE_DIR):
        variables["OPENCLAW_STATE_DIR"] = state_dir
    if invocation.ssh is not None:
        assigned = [shlex.quote(f"{name}={_remote_path(path)}") for name, path in variables.items()]
        env = ["env", *assigned] if assigned else []
        return " ".join(["ssh -t" if tty else "ssh", shlex.quote(invocation.ssh), *env, *map(_quoted_twice, words)])
    if invocation.is_in_container:
        return shlex.join(words)  # a variable out here does not reach the program in there
    return " ".join([*(f"{name}={_local_path(path)}" for name, path in variables.items()), shlex.join(words)])


@lru_cache(maxsize=1024)
def _quoted(word: str) -> str:
    return shlex.quote(word)


def _quoted_twice(word: str) -> str:
    """``word`` quoted for the shell behind ssh, and again for the shell in front of it."""
    quoted = shlex.quote(word)
    if quoted == word:
        return word
    return shlex.quote(quoted) if re.search(r'["$`\\!]', quoted) else f'"{quoted}"'


def _local_path(path: str) -> str:
    """``path`` for an assignment in a shell, which expands ``~`` only outside quotes."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def _remote_path(path: str) -> str:
    """``path`` for the shell behind ssh, where ``~`` means that user's home."""
    return f"$HOME/{path[2:]}" if path.startswith("~/") else path


@dataclass(frozen=True, slots=True)
class Programs:
    """How a person at a shell on this host uses the programs of one target."""

    openclaw: Invocation = field(default_factory=Invocation)
    claude: Invocation = field(default_factory=lambda: Invocation(("claude",)))
    #: The commands that show why a check fails; empty: ``openclaw models status --check``.
    diagnosis: tuple[str, ...] = ()
    #: The file with the variables that the service has and a shell has not, if one is configured.
    env_file: str | None = None


# --- what to do ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What decides how the commands for one agent are spelled."""

    agent: str
    dialect: Dialect
    programs: Programs = field(default_factory=Programs)
    token_lifetime: str = TOKEN_LIFETIME  # as OpenClaw's ``--expires-in`` takes it

    @classmethod
    def of(cls, agent: AgentReport, programs: Programs, token_lifetime: str) -> CommandContext:
        """The context of an agent that was checked."""
        return cls(agent.agent, command_dialect(agent.dialect, agent.openclaw_version), programs, token_lifetime)


def command_dialect(dialect: Dialect, version: str | None) -> Dialect:
    """The dialect whose commands apply: what a store or a gateway reports is the same on many releases."""
    if dialect is Dialect.DATES:
        return Dialect.STATUS
    if dialect not in (Dialect.STORE, Dialect.GATEWAY, Dialect.LISTING) or (dialect is Dialect.LISTING and not version):
        return dialect
    numbers = re.findall(r"\d+", version or "")[:2]
    release = (int(numbers[0][:4]), int(numbers[1][:4])) if len(numbers) == 2 else (9999, 0)
    if dialect is Dialect.LISTING:
        return Dialect.STATUS if release < (2026, 6) else dialect
    return Dialect.STATUS if release < (2026, 5) else Dialect.LISTING if release < (2026, 8) else Dialect.ROUTES


def renewal_steps(profile: str, provider: str, kind: str, context: CommandContext) -> tuple[Step, ...]:
    """The steps that replace a credential which expired, was revoked or is missing."""
    dialect, openclaw = context.dialect, context.programs.openclaw
    if profile.startswith("env:"):
        variable = profile.removeprefix("env:")
        return (note(f"Set a new {variable} in the service's environment and restart it"),)
    if dialect is Dialect.LOGIN:
        return (command(context.programs.claude.line("auth", "login")),)

    def run(*arguments: str) -> Step:
        return command(_auth_command(context, *arguments))

    def paste(*arguments: str) -> Step:
        typed, piped = (_auth_command(context, *arguments, tty=tty) for tty in (True, False))
        needs, echoes = (Need.TERMINAL, Need.SECRET), dialect is Dialect.STATUS
        return Step(StepKind.COMMAND, typed, needs=needs, action=StepAction.PASTE, piped=piped, echoes=echoes)

    profile_options = ("--provider", provider, "--profile-id", profile)
    if kind == "token" and provider == "anthropic":
        dated = paste("paste-token", *profile_options, "--expires-in", context.token_lifetime)
        return Step(StepKind.COMMAND, "claude setup-token", action=StepAction.MAKE), dated
    if kind == "token":
        return (paste("paste-token", *profile_options),)
    if kind == "api_key" and dialect is not Dialect.STATUS:
        return (paste("paste-api-key", *profile_options),)
    if kind == "api_key" and provider != "anthropic":
        # 2026.2 has no paste-api-key; its documentation has people paste a key as a token.
        return (paste("paste-token", *profile_options),)
    if dialect is Dialect.STATUS and provider in _WIZARD_LOGINS:
        # Anthropic's keys too: pasted as a token, a key would pass for a setup-token, which ends in a year.
        return (Step(StepKind.COMMAND, openclaw.line("configure", "--section", "model"), is_wizard=True),)
    if dialect in (Dialect.STATUS, Dialect.LISTING):
        return (run("login", "--provider", provider),)
    return (run("login", *profile_options),)


def recovery_steps(
    reason: str | None, profile: str, provider: str, kind: str, context: CommandContext
) -> tuple[Step, ...]:
    """What ends a cooldown or disable with ``reason``: money, a new credential, or time."""
    status = command(context.programs.openclaw.line("models", "status"))
    if reason == "billing":
        return note(f"Top up or fix the billing of {provider}"), status
    if reason in NEEDS_PERSON:
        return renewal_steps(profile, provider, kind, context)
    return note("Wait until it ends, or add another profile"), status


def end_disable_step(profile: str, provider: str, kind: str, context: CommandContext) -> Step | None:
    """The step that ends a disable which outlives its credential; None if no command does.

    OpenClaw keeps the disable when another secret is pasted. ``models auth login`` ends it from 2026.6
    on: there before it asks for the secret, on 2026.9 once it has stored what is pasted, without a date.
    """
    method = {"token": "setup-token", "api_key": "api-key"}.get(kind)
    if method is None or context.dialect not in (Dialect.LISTING, Dialect.ROUTES) or profile.startswith("env:"):
        return None
    options = ("--provider", provider, "--method", method, "--profile-id", profile)
    line = _auth_command(context, "login", *options)
    return Step(StepKind.COMMAND, line, is_done_at_prompt=context.dialect is Dialect.LISTING)


def restart_gateway_step(context: CommandContext) -> Step | None:
    """The step that makes a gateway read its environment again; None for Claude Code, which has no gateway."""
    openclaw = context.programs.openclaw
    if context.dialect is Dialect.LOGIN:
        return None
    if openclaw.ssh is None and openclaw.is_in_container:
        return note("Restart the gateway's container")
    return command(openclaw.line("gateway", "restart"))


def billing_page(provider: str, kind: str) -> str | None:
    """Where to pay for a credential; None if unknown."""
    return SUBSCRIPTION_PAGE if (provider, kind) == ("anthropic", "token") else BILLING_PAGES.get(provider)


def first_credential_steps(provider: str, context: CommandContext) -> tuple[Step, ...]:
    """The steps that give a provider its first credential."""
    return renewal_steps(f"{provider}:default", provider, first_credential_kind(provider), context)


def first_credential_kind(provider: str) -> str:
    """The kind of credential to give a provider that has none."""
    return "token" if provider == "anthropic" else "oauth"


def set_date_step(profile: str, agent: str, target: str) -> Step:
    """The step that supplies the date of an undated token, instead of pasting it again."""
    name = shlex.quote(f"{target}/{agent}/{profile}")
    return note(f"Or, if you know when it ends: openclaw-auth-exporter deadline set {name} DATE")


def _auth_command(context: CommandContext, *arguments: str, tty: bool = True) -> str:
    """A ``models auth`` command about one agent.

    Recent releases insist on ``--agent`` if there are several agents; 2026.6 and 2026.7 accept it only
    before the subcommand; the oldest know an agent by its folder.
    """
    agent, openclaw = context.agent, context.programs.openclaw
    if context.dialect is Dialect.STATUS:
        return openclaw.line("models", "auth", *arguments, tty=tty, agent=None if agent == "main" else agent)
    if context.dialect is Dialect.LISTING:
        option = () if agent == "main" else ("--agent", agent)
        return openclaw.line("models", "auth", *option, *arguments, tty=tty)
    return openclaw.line("models", "auth", *arguments, "--agent", agent, tty=tty)
