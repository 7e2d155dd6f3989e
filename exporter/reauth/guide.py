"""The conversation of ``reauth``: which credentials need renewing, step by step, and with what result.

It decides everything by what a check finds and stores nothing, so running it again continues where
the facts are. Every step can be refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import click

from exporter.config import Config
from exporter.lib.durations import format_duration
from exporter.model import ProfileReport, Report, Severity, TargetReport
from exporter.present.words import visible
from exporter.reauth import candidates, texts
from exporter.reauth.candidates import Candidate, Selection
from exporter.reauth.plan import RenewalAction, RenewalPlan
from exporter.reauth.screen import Screen, show
from exporter.reauth.steps import StepRunner
from exporter.sources import Source
from exporter.verdict.remedies import NEEDS_PERSON


@dataclass
class Guide:
    """One ``reauth``.

    ``check`` checks the named targets, or all of them; ``source_of`` gives a target's source; ``resolve``
    ends the alerts about the named targets and says in a sentence how, or None if there are none.
    """

    config: Config
    selection: Selection
    screen: Screen
    check: Callable[[list[str] | None], Report]
    source_of: Callable[[str], Source]
    resolve: Callable[[list[str]], str | None]
    which: Callable[[str], str | None] = shutil.which
    _reports: dict[str, TargetReport] = field(default_factory=dict)
    _renewals: list[tuple[Candidate, StepRunner]] = field(default_factory=list)
    _changed_targets: dict[str, None] = field(default_factory=dict)  # in the order of their renewals

    def run(self) -> int:
        """Lead through all of it; returns the exit code of ``check`` for what was selected.

        Raises click.UsageError for an agent or profile that does not exist, KeyboardInterrupt for ^C at
        a question.
        """
        try:
            self._check([self.selection.target] if self.selection.target is not None else None)
            if mistake := candidates.unknown_name(self._report, self.selection):
                raise click.UsageError(visible(mistake, 2000))
            found = candidates.find_candidates(self._report, self.selection)
            self._list(found)
            if not found:
                self._say_all_is_well()
            elif not self.screen.is_interactive:
                self._print_commands(found)
            else:
                for candidate in self._choose(found):
                    self._renew(candidate)
                self._finish()
            return self._exit_code
        except KeyboardInterrupt:
            self.screen.say()
            self.screen.say("Stopped. Completed steps stay done. Run it again to continue.")
            self._warn_of_cut_tokens()
            raise

    # --- what is known -------------------------------------------------------------------------

    def _check(self, names: list[str] | None) -> None:
        self.screen.say("Checking, this takes a few seconds ...")
        self._reports |= {target.target: target for target in self.check(names).targets}

    @property
    def _report(self) -> Report:
        """The latest report of every target."""
        reports = tuple(self._reports.values())
        return Report(max((a.evaluated_at for t in reports for a in t.entries), default=0.0), reports)

    @property
    def _cut(self) -> list[Candidate]:
        """The credentials of which OpenClaw may hold only a part: it calls that usable, so no check finds them."""
        return [candidate for candidate, runner in self._renewals if runner.may_be_cut]

    @property
    def _exit_code(self) -> int:
        return 1 if self._cut else candidates.exit_code(self._report, self.selection)

    # --- before the first step -----------------------------------------------------------------

    def _say_all_is_well(self) -> None:
        self.screen.say("No credential needs renewing.")
        if self._say_other_problems():
            self.screen.say("See `openclaw-auth-exporter explain`.")
        elif next_expiry := texts.next_expiry(self._report, self.selection):
            self.screen.say(next_expiry)
            self.screen.say("To renew a credential anyway, name it: --profile ID.")

    def _say_other_problems(self) -> bool:
        problems = candidates.other_problems(self._report, self.selection)
        for condition in problems[: texts.LISTED]:
            self.screen.say(f"Renewing does not fix this, {texts.summary(condition)}")
        return bool(problems)

    def _list(self, found: Sequence[Candidate]) -> None:
        if heading := texts.attention(found):
            self.screen.say(heading)
        for number, candidate in enumerate(found, 1):
            mark = f"{number}. " if len(found) > 1 else ""
            self.screen.say(f"{mark}{texts.describe(candidate, self._report.checked_at)}", " ")
            if len(candidate.agents) > 1:
                self.screen.say(f"Shared by {', '.join(map(visible, candidate.agents))}.", "   ")

    def _print_commands(self, found: Sequence[Candidate]) -> None:
        for candidate in found:
            self.screen.say()
            self.screen.say(f"For {texts.name_of(candidate)}:")
            self._show(self._plan(candidate).renew())
        self.screen.say()
        why = "Nothing was run, because this is not a terminal."
        self.screen.say(f"{why} Run these commands, or `reauth` in a terminal (`ssh -t`).")

    def _choose(self, found: Sequence[Candidate]) -> list[Candidate]:
        if len(found) == 1:
            return list(found)
        question = "Which ones? Press Enter for all in this order, type numbers like 1 3, or q to quit."
        while True:
            answer = self.screen.ask(question)
            if answer in ("", "a", "all"):
                return list(found)
            if answer in ("q", "quit", "n", "no"):
                return []
            numbers = answer.replace(",", " ").split()
            if all(number.isdecimal() and 1 <= int(number) <= len(found) for number in numbers):
                return [found[int(number) - 1] for number in dict.fromkeys(numbers)]

    # --- one credential ------------------------------------------------------------------------

    def _renew(self, candidate: Candidate) -> None:
        if candidate.conditions and not candidates.still_needed(self._report, candidate):
            return  # fixed by an earlier renewal: agents share credentials
        self.screen.say()
        self.screen.say(f"== {texts.name_of(candidate)}")
        source, plan = self.source_of(candidate.agent.target), self._plan(candidate)
        if obstacle := source.renewal_obstacle(self.which("openclaw") is not None):
            self.screen.say(obstacle)
            self._show(plan.renew())
            return
        runner = StepRunner(self.screen, plan.programs)
        self._renewals.append((candidate, runner))
        if not runner.run(plan.renew()):
            return
        after = self._check_result(candidate, plan, runner)
        if candidate.blocked is None and after is not None and after.unusable is not None:
            found = candidates.find_candidates(self._report, candidates.selection_of(candidate))
            blocked = [one for one in found if one.blocked is not None and one.blocked.reason in NEEDS_PERSON]
            if blocked and runner.run((plan := self._plan(blocked[0])).end_disable()):
                self._check_result(candidate, plan, runner)

    def _plan(self, candidate: Candidate) -> RenewalPlan:
        programs = self.source_of(candidate.agent.target).programs()
        lifetime = format_duration(self.config.policy.setup_token_lifetime)
        return RenewalPlan(candidate, programs, lifetime, self.which("claude") is not None)

    def _show(self, actions: Sequence[RenewalAction]) -> None:
        for action in actions:
            show(self.screen, action)

    def _check_result(self, candidate: Candidate, plan: RenewalPlan, runner: StepRunner) -> ProfileReport | None:
        """Check the target again, say what has changed, and return the profile."""
        target = candidate.agent.target
        self.screen.say()
        self._check([target])
        self._changed_targets[target] = None
        agent, after = candidates.latest(self._report, candidate)
        if runner.may_be_cut:
            return after  # the warning at the end says more
        failure = agent.failure if agent is not None else self._reports[target].failure
        for sentence in texts.outcome(candidate, agent, after, failure, self._report.checked_at):
            self.screen.say(sentence)
        restart = plan.restart()
        is_stored = after is not None and after.usable and candidates.has_changed(candidate.before, after) is not False
        if restart and is_stored and not candidate.profile.startswith("env:"):
            # Seen on all three releases: a running gateway uses the new token, on 2026.6.11 after some seconds.
            self.screen.say("A running gateway uses it within seconds. If replies still fail:")
            self._show([restart])
        return after

    # --- the end -------------------------------------------------------------------------------

    def _finish(self) -> None:
        self.screen.say()
        if self._changed_targets and (resolved := self.resolve(list(self._changed_targets))):
            self.screen.say(resolved)
        self._warn_of_cut_tokens()
        found = candidates.find_candidates(self._report, self.selection)
        left = [candidate for candidate in found if candidate.severity is not Severity.INFO]
        if heading := texts.attention(left, "still "):
            self.screen.say(heading)
            for candidate in left[: texts.LISTED]:
                self.screen.say(texts.describe(candidate, self._report.checked_at), " ")
        elif self._exit_code == 0:
            self.screen.say("All is well.")
        elif not self._cut:
            self._say_other_problems()

    def _warn_of_cut_tokens(self) -> None:
        for candidate in self._cut:
            self.screen.say(f"OpenClaw may hold only the first line of {texts.name_of(candidate)}. Paste all of it:")
            self.screen.show(texts.resume_command(candidate))
