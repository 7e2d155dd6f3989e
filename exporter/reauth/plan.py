"""What to do about one need, on this host, for this release: pure.

Called by ``exporter.reauth.guide``. The commands are ``exporter.verdict.remedies``'s; here is decided how each is
run from this terminal, and what a person is told beside it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.config import ClaudeTarget, GatewayTarget, OpenClawTarget, SimulatedTarget, StoreTarget, TargetBase
from exporter.model import ConditionName, Dialect
from exporter.reauth.candidates import Candidate
from exporter.verdict import remedies
from exporter.verdict.remedies import CommandContext, Step, StepKind


@dataclass(frozen=True, slots=True)
class RenewalAction:
    """One step: ``text`` is what is shown and, unless it is advice, exactly what is run."""

    way: StepKind
    text: str
    title: str
    hint: str = ""
    is_token: bool = False  # PASTE: a setup-token, whose shape is known
    is_noisy: bool = False  # PASTE: this release writes what is pasted on the screen
    is_persons: bool = False  # run in the person's own environment, not in the target's
    ends_by_ctrl_c: bool = False  # RUN: it has done its work when it asks; nothing is to be typed there
    takes_token: bool = False  # RUN: its own prompt would take the first line of a token for the whole


def actions(need: Candidate, target: TargetBase, life: str, has_claude: bool) -> tuple[RenewalAction, ...]:
    """What to do about ``need``. ``life`` is how long a setup-token lives; ``has_claude``: it can be run here."""
    dialect = remedies.dialect_of(need.agent)
    blocked = need.blocked
    only_unusable = bool(need.conditions) and all(c.name is ConditionName.UNUSABLE for c in need.conditions)
    if only_unusable and blocked is not None and blocked.reason == "billing":
        return (_pay(need),)
    loud, piped = (
        remedies.steps(need.profile, need.provider, need.kind, CommandContext(need.agent.agent, dialect, words, life))
        for words in (words_of(target), words_of(target, tty=False))
    )
    chosen = [quiet if quiet.way is StepKind.PASTE else step for step, quiet in zip(loud, piped, strict=True)]
    made = [_action(step, need, target, dialect, has_claude) for step in chosen]
    if need.profile.startswith("env:"):
        made.append(_restart(target))
    return tuple(made)


def clearing(need: Candidate, target: TargetBase, life: str) -> tuple[RenewalAction, ...]:
    """What ends a disable that OpenClaw keeps after its cause was mended; empty where nothing does.

    After it ``once_more`` may be due: OpenClaw's own prompt takes the first line of a token for the whole.
    """
    dialect = remedies.dialect_of(need.agent)
    step = remedies.clear(
        need.profile, need.provider, need.kind, CommandContext(need.agent.agent, dialect, words_of(target))
    )
    if step is None:
        return ()
    title, noun, is_token = "end the disable now", _NOUNS[need.kind], need.kind == "token"
    if dialect is Dialect.LISTING:
        hint = f"When it asks for the {noun}, press ^C: by then it has ended the disable. Paste nothing there."
        return (RenewalAction(StepKind.RUN, step.text, title, hint, ends_by_ctrl_c=True, takes_token=is_token),)
    was_paid = need.blocked is not None and need.blocked.reason == "billing"
    what = f"the {noun} that is there" if was_paid else "the same again"
    hint = f"Paste {what} when it asks, and press Enter if it waits: OpenClaw then tries it at once."
    if not is_token:
        return (RenewalAction(StepKind.RUN, step.text, title, hint),)
    hint += " Do the next step too: this one shows what you paste, takes its first line only, and stores no date."
    return (RenewalAction(StepKind.RUN, step.text, title, hint, takes_token=True), *once_more(need, target, life))


def once_more(need: Candidate, target: TargetBase, life: str) -> tuple[RenewalAction, ...]:
    """The dated paste again, after OpenClaw's own prompt has taken what it took."""
    dialect = remedies.dialect_of(need.agent)
    piped = CommandContext(need.agent.agent, dialect, words_of(target, tty=False), life)
    steps = remedies.steps(need.profile, need.provider, need.kind, piped)
    again = [step for step in steps if step.way is StepKind.PASTE]
    return tuple(_action(step, need, target, dialect, True, "Once more, whole and with its date.") for step in again)


def words_of(target: TargetBase, *, tty: bool = True) -> str:
    """How this target's OpenClaw, or its Claude Code, is called from here."""
    state_dir = getattr(target, "state_dir", None)
    if isinstance(target, OpenClawTarget):
        return remedies.words(target.command, target.ssh, state_dir, tty=tty)
    if isinstance(target, ClaudeTarget):
        return remedies.words(target.command, tty=tty)
    return remedies.words(["openclaw"], state_dir=state_dir, tty=tty)


def why_not_here(target: TargetBase, source: str, has_openclaw: bool) -> str | None:
    """Why the commands for this target cannot be run from here, as a sentence; None where they can."""
    if isinstance(target, SimulatedTarget):
        return "It is simulated: there is nothing to sign in to."
    if isinstance(target, GatewayTarget) and not _is_here(target.url):
        return "Its gateway is on another host: run this over there."
    if source in ("store", "gateway") and not has_openclaw:
        where = "the store" if isinstance(target, StoreTarget) or source == "store" else "the gateway"
        return f"There is no `openclaw` on PATH here: run this where {where} is used."
    return None


def _action(
    step: Step, need: Candidate, target: TargetBase, dialect: Dialect, has_claude: bool, hint: str | None = None
) -> RenewalAction:
    is_token = need.kind == "token" and need.provider == "anthropic"
    match step.way:
        case StepKind.MAKE:
            return _make(step, target, has_claude)
        case StepKind.PASTE:
            if hint is None:
                hint = "You paste it when it asks. It goes straight to OpenClaw."
            title = "give it to OpenClaw" if is_token else f"give OpenClaw the new {_NOUNS.get(need.kind, 'secret')}"
            return RenewalAction(step.way, step.text, title, hint, is_token, dialect is Dialect.STATUS)
        case StepKind.RUN:
            text = step.text
            if dialect is Dialect.LOGIN:
                text = f"{words_of(target) if isinstance(target, ClaudeTarget) else 'claude'} auth login"
            if dialect is Dialect.STATUS and need.kind == "api_key":
                hint = f"It asks where and what. The key becomes {need.provider}:default, whatever that holds now."
                return RenewalAction(step.way, text, "set the new API key", hint)
            return RenewalAction(step.way, text, "sign in", "It talks to you itself, and may open a browser.")
        case _:
            hint = f"Often that is {getattr(target, 'env_file', None) or '~/.openclaw/.env'}."
            return RenewalAction(step.way, f"{step.text}.", "set the new secret", hint)


_NOUNS = {"token": "token", "api_key": "API key"}


def _make(step: Step, target: TargetBase, has_claude: bool) -> RenewalAction:
    title = "make a new token"
    copy = f"opy the token it shows, whole: it begins with {remedies.TOKEN_BEGINS} and may fill several lines."
    hint = f"Sign in, then c{copy}"
    if has_claude:
        return RenewalAction(step.way, step.text, title, hint, is_persons=True)
    if isinstance(target, OpenClawTarget) and target.ssh is not None:
        return RenewalAction(
            step.way, f"{remedies.words(['claude'], target.ssh)} setup-token", title, hint, is_persons=True
        )
    text = f"There is no `claude` here. Run `{step.text}` on any machine that has Claude Code."
    return RenewalAction(StepKind.ADVICE, text, title, f"C{copy}")


def _pay(need: Candidate) -> RenewalAction:
    page = remedies.billing_page(need.provider, need.kind)
    where = f": {page}" if page else " on its website."
    hint = "There is nothing to paste: OpenClaw tries it again when the disable ends."
    return RenewalAction(StepKind.ADVICE, f"Top up, or mend the payment of {need.provider}{where}", "pay", hint)


def _restart(target: TargetBase) -> RenewalAction:
    step = remedies.restart(words_of(target))
    return RenewalAction(step.way, step.text, "restart the gateway", "It reads its environment when it starts.")


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
