"""The steps that renew one credential from this terminal: pure.

``exporter.verdict.remedies`` gives the commands. This module decides how each command runs on this host,
and what a person reads beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model import ConditionName, Step, StepAction, StepKind
from exporter.reauth.candidates import Candidate
from exporter.verdict import remedies
from exporter.verdict.remedies import CommandContext, Programs

_NOUNS = {"token": "token", "api_key": "API key"}


@dataclass(frozen=True, slots=True)
class RenewalAction:
    """One step. ``text`` is what is shown and, except for advice, exactly what is run."""

    kind: StepKind
    action: StepAction
    text: str
    title: str
    hint: str = ""
    is_token: bool = False  # PASTE: a setup-token, whose shape is known
    echoes: bool = False  # PASTE: the command prints what is pasted
    in_own_environment: bool = False  # run without the variables of the target's service
    ends_by_ctrl_c: bool = False  # RUN: it has done its work when it asks; nothing is to be typed there
    may_cut_token: bool = False  # RUN: its prompt would take the first line of a token for all of it


@dataclass(frozen=True, slots=True)
class RenewalPlan:
    """What to do about ``candidate`` with the target's ``programs``."""

    candidate: Candidate
    programs: Programs
    token_lifetime: str  # of a setup-token, as OpenClaw's ``--expires-in`` takes it
    has_claude: bool  # Claude Code can be run on this host

    def renew(self) -> tuple[RenewalAction, ...]:
        """The steps that replace the credential, or pay for it."""
        candidate, blocked = self.candidate, self.candidate.blocked
        only_unusable = candidate.conditions and all(c.name is ConditionName.UNUSABLE for c in candidate.conditions)
        if only_unusable and blocked is not None and blocked.reason == "billing":
            return (self._pay(),)
        actions = [self._action(step) for step in self._steps()]
        restart = self.restart() if candidate.profile.startswith("env:") else None
        return (*actions, restart) if restart else tuple(actions)

    def end_disable(self) -> tuple[RenewalAction, ...]:
        """The steps that end a disable which OpenClaw keeps after its cause is gone; empty if none does.

        They may have to be followed by ``paste_again``: OpenClaw's own prompt takes the first line of a
        token for all of it.
        """
        candidate = self.candidate
        step = remedies.end_disable_step(candidate.profile, candidate.provider, candidate.kind, self._context)
        if step is None:
            return ()
        title, noun, is_token = "end the disable now", _NOUNS[candidate.kind], candidate.kind == "token"
        if step.is_done_at_prompt:
            hint = f"When it asks for the {noun}, press ^C: by then it has ended the disable. Paste nothing there."
            return (
                RenewalAction(
                    step.kind, step.action, step.text, title, hint, ends_by_ctrl_c=True, may_cut_token=is_token
                ),
            )
        was_unpaid = candidate.blocked is not None and candidate.blocked.reason == "billing"
        secret = f"the current {noun}" if was_unpaid else f"the same {noun} again"
        hint = f"Paste {secret} when it asks, and press Enter if it waits. OpenClaw then tries it at once."
        if not is_token:
            return (RenewalAction(step.kind, step.action, step.text, title, hint),)
        hint += " Do the next step too: this one shows what you paste, takes only its first line and stores no date."
        return (RenewalAction(step.kind, step.action, step.text, title, hint, may_cut_token=True), *self.paste_again())

    def paste_again(self) -> tuple[RenewalAction, ...]:
        """The dated paste once more, after OpenClaw's own prompt may have cut the token."""
        hint = "Once more, all of it and with its date."
        return tuple(self._paste(step, hint) for step in self._steps() if step.action is StepAction.PASTE)

    def restart(self) -> RenewalAction | None:
        """The step that restarts the gateway; None if there is none."""
        step = remedies.restart_gateway_step(self._context)
        if step is None:
            return None
        hint = "It reads its environment when it starts."
        return RenewalAction(step.kind, step.action, step.text, "restart the gateway", hint)

    @property
    def _context(self) -> CommandContext:
        return CommandContext.of(self.candidate.agent, self.programs, self.token_lifetime)

    def _steps(self) -> tuple[Step, ...]:
        candidate = self.candidate
        return remedies.renewal_steps(candidate.profile, candidate.provider, candidate.kind, self._context)

    def _action(self, step: Step) -> RenewalAction:
        if step.kind is not StepKind.COMMAND:
            hint = f"It is often in {self.programs.env_file or '~/.openclaw/.env'}."
            return RenewalAction(step.kind, step.action, f"{step.text}.", "set the new secret", hint)
        match step.action:
            case StepAction.MAKE:
                return self._make(step)
            case StepAction.PASTE:
                return self._paste(step, "Paste it when asked. It goes straight to OpenClaw.")
            case StepAction.RUN if step.is_wizard and self.candidate.kind == "api_key":
                hint = f"It asks where and what. The key replaces whatever {self.candidate.provider}:default holds."
                return RenewalAction(step.kind, step.action, step.text, "set the new API key", hint)
            case StepAction.RUN:
                hint = "It asks you itself and may open a browser."
                return RenewalAction(step.kind, step.action, step.text, "sign in", hint)

    def _make(self, step: Step) -> RenewalAction:
        title = "make a new token"
        copy = f"opy the whole token: it begins with {remedies.TOKEN_BEGINS} and may fill several lines."
        claude = self.programs.claude  # a target over ssh has its own
        if not self.has_claude and claude.ssh is None:
            text = f"There is no `claude` here. Run `{step.text}` on any machine that has Claude Code."
            return RenewalAction(StepKind.NOTE, StepAction.RUN, text, title, f"C{copy}")
        command = step.text if self.has_claude else claude.line("setup-token")
        return RenewalAction(step.kind, step.action, command, title, f"Sign in, then c{copy}", in_own_environment=True)

    def _paste(self, step: Step, hint: str) -> RenewalAction:
        is_token = (self.candidate.kind, self.candidate.provider) == ("token", "anthropic")
        noun = _NOUNS.get(self.candidate.kind, "secret")
        title = "give it to OpenClaw" if is_token else f"give OpenClaw the new {noun}"
        return RenewalAction(step.kind, step.action, step.piped, title, hint, is_token, step.echoes)

    def _pay(self) -> RenewalAction:
        provider = self.candidate.provider
        page = remedies.billing_page(provider, self.candidate.kind)
        text = f"Top up, or fix the payment of {provider}" + (f": {page}" if page else " on its website.")
        hint = "There is nothing to paste: OpenClaw tries it again when the disable ends."
        return RenewalAction(StepKind.NOTE, StepAction.RUN, text, "pay", hint)
