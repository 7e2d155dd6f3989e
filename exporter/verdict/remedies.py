"""What a person has to type: the exact commands for one profile, agent, host and release.

Called by the verdict's rules and by reminders, which show the commands, and by ``reauth``, which runs
them. Which release takes which was tried on 2026.2.9, 2026.6.11 and 2026.9.6.
"""

from __future__ import annotations

import enum
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from exporter.model import AgentReport, Dialect

#: How long a setup-token lives when nothing else is configured (``policy.setup_token_lifetime``): one year.
TOKEN_LIFE = "365d"

#: A setup-token as Claude Code makes it: how it begins, and how many characters it has.
TOKEN_BEGINS, TOKEN_LENGTH = "sk-ant-oat01-", 108

#: Reasons of a cooldown or disable that no waiting heals.
PERSON = frozenset({"auth", "auth_permanent", "session_expired", "billing"})

#: Where money is put in, by provider; a setup-token is paid for by its subscription.
BILLING_PAGES = {
    "anthropic": "https://console.anthropic.com/settings/billing",
    "openai": "https://platform.openai.com/settings/organization/billing",
    "openrouter": "https://openrouter.ai/settings/credits",
}
SUBSCRIPTION_PAGE = "https://claude.ai/settings/billing"

#: Programs that enter a container: what is typed must reach the program in there.
_ENTERING = frozenset({"docker", "podman", "nerdctl", "kubectl", "oc"})
#: What 2026.2 signs in to in its wizard; its ``models auth login`` knows what plugins bring.
_WIZARD_LOGINS = frozenset({"anthropic", "openai", "openai-codex", "chutes"})


class StepKind(enum.StrEnum):
    """How a step is done."""

    MAKE = "make"  # a command that makes a new credential and shows it to the person
    PASTE = "paste"  # a command that takes a secret through standard input
    RUN = "run"  # a command that talks to the person itself
    ADVICE = "advice"  # a sentence: nothing here can be run


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: ``text`` is a shell command, or for ADVICE a sentence."""

    way: StepKind
    text: str


@dataclass(frozen=True, slots=True)
class CommandContext:
    """How the commands for one agent are spelled."""

    agent: str
    dialect: Dialect
    openclaw: str = "openclaw"  # how it is called on its host: ``words``
    life: str = TOKEN_LIFE  # of a setup-token, as OpenClaw's ``--expires-in`` takes it


# --- how OpenClaw is called ------------------------------------------------------------------------


def words(command: Sequence[str], ssh: str | None = None, state_dir: str | None = None, *, tty: bool = True) -> str:
    """What a command line for this OpenClaw begins with: ``openclaw``, ``docker exec -it gw openclaw``,
    ``ssh -t me@vps openclaw``. Without ``tty`` as it is called at the end of a pipe.

    A single program on this host is called by its name: whoever runs it puts its folder on PATH.
    """
    parts = [command[0].rpartition("/")[2]] if len(command) == 1 and ssh is None else list(command)
    enters = _enters(parts[0])
    if enters and "exec" in parts:
        parts.insert(parts.index("exec") + 1, "-it" if tty else "-i")
    if ssh is not None:
        state = [f"env {shlex.quote(f'OPENCLAW_STATE_DIR={_over_there(state_dir)}')}"] if state_dir else []
        return " ".join(["ssh -t" if tty else "ssh", shlex.quote(ssh), *state, *map(_quoted_twice, parts)])
    spoken = shlex.join(parts)
    return f"OPENCLAW_STATE_DIR={_here(state_dir)} {spoken}" if state_dir and not enters else spoken


def dialect_of(agent: AgentReport) -> Dialect:
    """Whose commands to name, by the release: a report has no dialect."""
    if agent.source == "claude":
        return Dialect.LOGIN
    numbers = re.findall(r"\d+", agent.openclaw_version or "")[:2]
    release = (int(numbers[0][:4]), int(numbers[1][:4])) if len(numbers) == 2 else (9999, 0)
    return Dialect.STATUS if release < (2026, 5) else Dialect.LISTING if release < (2026, 8) else Dialect.ROUTES


# --- what to do ------------------------------------------------------------------------------------


def steps(profile: str, provider: str, kind: str, spelling: CommandContext) -> tuple[Step, ...]:
    """What replaces a credential that expired, was revoked or is missing."""
    dialect = spelling.dialect
    if profile.startswith("env:"):
        variable = profile.removeprefix("env:")
        return (Step(StepKind.ADVICE, f"Set a new {variable} in the service's environment and restart it"),)
    if dialect is Dialect.LOGIN:
        return (Step(StepKind.RUN, "claude auth login"),)

    def auth(*what: str) -> str:
        return _auth(spelling, *what)

    whose = ("--provider", provider, "--profile-id", profile)
    if kind == "token" and provider == "anthropic":
        paste = auth("paste-token", *whose, "--expires-in", spelling.life)
        return Step(StepKind.MAKE, "claude setup-token"), Step(StepKind.PASTE, paste)
    if kind == "token":
        return (Step(StepKind.PASTE, auth("paste-token", *whose)),)
    if kind == "api_key" and dialect is not Dialect.STATUS:
        return (Step(StepKind.PASTE, auth("paste-api-key", *whose)),)
    if kind == "api_key" and provider != "anthropic":
        # 2026.2 has no paste-api-key; pasting a key as a token is what its documentation tells.
        return (Step(StepKind.PASTE, auth("paste-token", *whose)),)
    if dialect is Dialect.STATUS and provider in _WIZARD_LOGINS:
        # Also Anthropic's keys: as a token one would pass for a setup-token, which ends in a year.
        return (Step(StepKind.RUN, _command(spelling.openclaw, "configure", "--section", "model")),)
    if dialect in (Dialect.STATUS, Dialect.LISTING):
        return (Step(StepKind.RUN, auth("login", "--provider", provider)),)
    return (Step(StepKind.RUN, auth("login", *whose)),)


def renew(profile: str, provider: str, kind: str, spelling: CommandContext) -> tuple[str, ...]:
    """``steps`` as the lines of a condition's remedy."""
    return tuple(step.text for step in steps(profile, provider, kind, spelling))


def unusable(reason: str | None, profile: str, provider: str, kind: str, spelling: CommandContext) -> tuple[str, ...]:
    """What ends a cooldown or a disable: billing wants money, a rate limit wants time."""
    if reason == "billing":
        return (f"Top up or fix the billing of {provider}", f"{spelling.openclaw} models status")
    if reason in PERSON:
        return renew(profile, provider, kind, spelling)
    return ("Wait until it ends, or add another profile", f"{spelling.openclaw} models status")


def clear(profile: str, provider: str, kind: str, spelling: CommandContext) -> Step | None:
    """What ends a disable that outlives the credential it was made for; None where nothing does.

    Pasting leaves it standing on every release seen. ``models auth login`` ends it from 2026.6 on: there
    before it asks for the secret, on 2026.9 when it has stored what is pasted, whose date it does not
    know. 2026.2 has nothing that does.
    """
    method = {"token": "setup-token", "api_key": "api-key"}.get(kind)
    if method is None or spelling.dialect not in (Dialect.LISTING, Dialect.ROUTES) or profile.startswith("env:"):
        return None
    whose = ("--provider", provider, "--method", method, "--profile-id", profile)
    return Step(StepKind.RUN, _auth(spelling, "login", *whose))


def billing_page(provider: str, kind: str) -> str | None:
    """Where to pay; None where we do not know it."""
    return SUBSCRIPTION_PAGE if (provider, kind) == ("anthropic", "token") else BILLING_PAGES.get(provider)


def restart(openclaw: str = "openclaw") -> Step:
    """What makes a gateway read its environment anew."""
    if _enters(shlex.split(openclaw)[0]):
        return Step(StepKind.ADVICE, "Restart the gateway's container")
    return Step(StepKind.RUN, _command(openclaw, "gateway", "restart"))


def add(provider: str, spelling: CommandContext) -> tuple[str, ...]:
    """The commands that give a provider its first credential."""
    return renew(f"{provider}:default", provider, first_kind(provider), spelling)


def first_kind(provider: str) -> str:
    """What a provider without any credential is given."""
    return "token" if provider == "anthropic" else "oauth"


def date(profile: str, agent: str, target: str) -> tuple[str, ...]:
    """How to give an undated token a date: what is known can be told without pasting it again."""
    return (f"openclaw-auth-exporter deadline set {shlex.quote(f'{target}/{agent}/{profile}')} DATE",)


# --- spelling --------------------------------------------------------------------------------------


def _auth(spelling: CommandContext, *what: str) -> str:
    """A ``models auth`` command about one agent.

    Recent releases insist on ``--agent`` where there are several; 2026.6 and 7 take it before the
    command only; the oldest know an agent by its folder only.
    """
    agent, dialect, openclaw = spelling.agent, spelling.dialect, spelling.openclaw
    if dialect is Dialect.STATUS:
        return _command(openclaw, "models", "auth", *what, agent=None if agent == "main" else agent)
    if dialect is Dialect.LISTING:
        owner = () if agent == "main" else ("--agent", agent)
        return _command(openclaw, "models", "auth", *owner, *what)
    return _command(openclaw, "models", "auth", *what, "--agent", agent)


def _command(openclaw: str, *what: str, agent: str | None = None) -> str:
    """``what`` behind ``openclaw``, with the folder of ``agent`` in its environment if given."""
    is_remote = openclaw.startswith("ssh ")
    # ssh hands one string to the shell over there, which reads the quotes once more.
    line = " ".join(map(_quoted_twice if is_remote else _quoted, what))
    if agent is None:
        return f"{openclaw} {line}"
    parts = shlex.split(openclaw)
    state = re.search(r"OPENCLAW_STATE_DIR=([^\s']+)", openclaw)
    folder = f"{state[1] if state else '~/.openclaw'}/agents/{agent}/agent"
    if is_remote:
        host = 2 if parts[1] != "-t" else 3
        variable = shlex.quote(f"OPENCLAW_AGENT_DIR={_over_there(folder)}")
        return f"{shlex.join(parts[:host])} env {variable} {shlex.join(parts[host:])} {line}"
    if _enters(parts[0]):
        inside = f"OPENCLAW_AGENT_DIR={_here(folder)} {parts[-1]} {line}"
        return f"{shlex.join(parts[:-1])} sh -c {shlex.quote(inside)}"
    return f"OPENCLAW_AGENT_DIR={_here(folder)} {openclaw} {line}"


def _enters(program: str) -> bool:
    return "=" not in program and program.rpartition("/")[2] in _ENTERING


@lru_cache(maxsize=1024)  # the words of all commands are few, but for profiles
def _quoted(word: str) -> str:
    return shlex.quote(word)


def _quoted_twice(word: str) -> str:
    """``word`` for the shell behind ssh, quoted again for the one in front of it."""
    quoted = shlex.quote(word)
    if quoted == word:
        return word
    return shlex.quote(quoted) if re.search(r'["$`\\!]', quoted) else f'"{quoted}"'


def _here(path: str) -> str:
    """A path in a shell's assignment: the shell knows what ``~`` is as long as it is not quoted."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def _over_there(path: str) -> str:
    """A path for the shell behind ssh, which is to read ``~`` as its own."""
    return f"$HOME/{path[2:]}" if path.startswith("~/") else path
