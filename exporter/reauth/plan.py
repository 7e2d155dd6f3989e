"""The steps that renew one credential from this terminal: pure.

They are the steps of the condition's remedy. This module decides how each runs on this host, and what a
person reads beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.model import Need, Step, StepAction, StepKind
from exporter.reauth.candidates import Candidate
from exporter.verdict import remedies
from exporter.verdict.invocation import Programs
from exporter.verdict.remedies import CommandContext, StoredCredential


@dataclass(frozen=True, slots=True)
class RenewalAction:
    """One step. ``text`` is what is shown and, of a command, exactly what is run."""

    kind: StepKind
    action: StepAction
    text: str
    title: str
    hint: str = ""
    is_token: bool = False  # PASTE: a setup-token, whose shape is known
    echoes: bool = False  # PASTE: the command prints what is pasted
    in_own_environment: bool = False  # run without the variables of the target's service
    ends_by_ctrl_c: bool = False  # RUN: it has done its work when it asks
    needs: tuple[Need, ...] = ()  # RUN: what it asks a person for
    may_cut_token: bool = False  # RUN: its prompt would take the first line of a token for all of it


@dataclass(frozen=True, slots=True)
class RenewalPlan:
    """What to do about ``candidate`` with the target's ``programs``."""

    candidate: Candidate
    programs: Programs
    token_lifetime: str  # of a setup-token, as OpenClaw's ``--expires-in`` takes it
    has_claude: bool  # Claude Code can be run on this host

    def renew(self) -> tuple[RenewalAction, ...]:
        """The steps that replace the credential, or pay for it, and end its disable."""
        return self._actions(self._steps())

    def end_disable(self) -> tuple[RenewalAction, ...]:
        """The same for a credential that has just been renewed and turned out to be disabled."""
        return self._actions([step for step in self._steps() if step.action is not StepAction.MAKE])

    def restart(self) -> RenewalAction | None:
        """The step that restarts the gateway; None for Claude Code, which has no gateway."""
        context = self._context
        return None if context.is_claude_code else self._action(remedies.restart_step(context), ())

    @property
    def _context(self) -> CommandContext:
        return CommandContext.of(self.candidate.agent, self.programs, self.token_lifetime)

    def _steps(self) -> tuple[Step, ...]:
        candidate = self.candidate
        if candidate.conditions:
            return candidate.conditions[0].steps
        before = candidate.before
        stored = StoredCredential(candidate.profile, candidate.provider, candidate.kind)
        return remedies.renewal_steps(StoredCredential.of(before) if before else stored, self._context)

    def _actions(self, steps: Sequence[Step]) -> tuple[RenewalAction, ...]:
        """The steps as actions. A sentence that explains the next step is read beside it."""
        actions, before = list[RenewalAction](), list[str]()
        for step in steps:
            if step.action is StepAction.READ:
                before.append(step.text)
            else:
                actions.append(self._action(step, before))
                before = []
        # What comes last offers another remedy, unless it is about waiting.
        read = before if any(step.kind is StepKind.WAIT for step in steps) else ()
        return (*actions, *(RenewalAction(StepKind.NOTE, StepAction.READ, sentence, "") for sentence in read))

    def _action(self, step: Step, before: Iterable[str]) -> RenewalAction:
        if step.action is StepAction.MAKE:
            return self._make(step)
        is_token = (self.candidate.kind, self.candidate.provider) == ("token", "anthropic")
        asks_secret = step.action is StepAction.RUN and Need.SECRET in step.needs
        hints = list(before)
        if step.action is StepAction.PASTE:
            hints.append("Paste it when asked. It goes straight to OpenClaw.")
        elif Need.BROWSER in step.needs:
            hints.append("It asks you itself and may open a browser.")
        elif asks_secret and is_token:
            hints.append(
                "Do the next step too: this one shows what you paste, takes only its first line, stores no date."
            )
        return RenewalAction(
            step.kind,
            step.action,
            step.piped if step.action is StepAction.PASTE else step.text,
            step.title,
            " ".join(hints),
            is_token=is_token,
            echoes=step.echoes,
            ends_by_ctrl_c=step.is_done_at_prompt,
            needs=step.needs,
            may_cut_token=asks_secret and is_token,
        )

    def _make(self, step: Step) -> RenewalAction:
        copy = f"opy the whole token: it begins with {remedies.TOKEN_BEGINS} and may fill several lines."
        claude = self.programs.claude  # a target over ssh has its own
        if not self.has_claude and claude.ssh is None:
            text = f"There is no `claude` here. Run `{step.text}` on any machine that has Claude Code."
            return RenewalAction(StepKind.NOTE, StepAction.DO, text, step.title, f"C{copy}")
        command = step.text if self.has_claude else claude.line("setup-token")
        hint = f"Sign in, then c{copy}"
        return RenewalAction(step.kind, step.action, command, step.title, hint, in_own_environment=True)
