"""The conversation: what needs a person, step by step, and what came of it.

Called by ``reauth`` on the command line. Everything it decides by comes from a look; it keeps nothing,
so that running it again begins where the facts are. Every step can be refused, and ^C at a question ends
it with what was done so far.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import click

from exporter.config import Config
from exporter.lib.durations import format_duration, in_words, iso
from exporter.lib.env_file import read_env_file
from exporter.model import AgentReport, CheckError, ConditionName, ProfileReport, Report, Severity, TargetReport
from exporter.present.words import count, visible
from exporter.reauth import candidates as facts
from exporter.reauth.candidates import Candidate, Selection
from exporter.reauth.plan import RenewalAction, RenewalPlan
from exporter.reauth.terminal import NOTHING_PASTED, environment_of
from exporter.sources import Source
from exporter.verdict import remedies
from exporter.verdict.remedies import StepKind

YES, SKIP, NO = "yes", "skip", "no"
#: OpenClaw's own prompt was given a token, of which it takes the first line.
TOOK = "took"
_ANSWERS = {"y": YES, "yes": YES, "s": SKIP, "skip": SKIP, "n": NO, "no": NO, "": NO}
#: sh's exit code for a program that is not there, and ssh's for a host that is not reached.
_NOT_FOUND, _NO_CONNECTION = 127, 255
#: How many things are listed before the rest is counted.
_LISTED = 10


class Screen(Protocol):
    """What ``Terminal`` is, and what a test puts in its place."""

    is_interactive: bool

    def say(self, text: str = "", indent: str = "") -> None: ...
    def show(self, command: str) -> None: ...
    def ask(self, question: str) -> str: ...
    def run(self, command: str, environment: Mapping[str, str]) -> int: ...
    def paste(self, command: str, environment: Mapping[str, str], *, is_token: bool, is_noisy: bool) -> int: ...


@dataclass
class Guide:
    """One ``reauth``. ``look`` looks at the named targets, or at all; ``tell`` lets whoever tells of
    alerts know of the named ones and says in a sentence what that came to, or None where nobody does."""

    config: Config
    asked: Selection
    screen: Screen
    check: Callable[[list[str] | None], Report]
    source_of: Callable[[str], Source]
    tell: Callable[[list[str]], str | None]
    which: Callable[[str], str | None] = shutil.which
    _known: dict[str, TargetReport] = field(default_factory=dict)
    _renewed: list[str] = field(default_factory=list)  # targets where something was done
    _cut: list[Candidate] = field(default_factory=list)  # left with what OpenClaw's own prompt took

    def run(self) -> int:
        """The whole of it; ``check``'s exit code for what was asked for.

        Raises click.UsageError for an agent or profile that is not there, KeyboardInterrupt.
        """
        try:
            return self._run()
        except KeyboardInterrupt:
            self.screen.say()
            self.screen.say("Stopped. What is done stays done; run it again to go on.")
            self._tell_cut()
            raise

    def _run(self) -> int:
        self._check_targets([self.asked.target] if self.asked.target is not None else None)
        wanted = facts.find_candidates(self._report, self.asked)
        self._refuse_unknown()
        if not wanted:
            self._nothing()
            return self._code
        self._list(wanted)
        if not self.screen.is_interactive:
            self._print_commands(wanted)
            return self._code
        for need in self._choose(wanted):
            if need.conditions and not facts.still_needed(self._report, need):
                continue  # mended by what was done before it: agents share credentials
            self._renew(need)
        self._finish()
        return self._code

    # --- looking -------------------------------------------------------------------------------

    def _check_targets(self, names: list[str] | None) -> None:
        self.screen.say("Looking, a few seconds ...")
        for target in self.check(names).targets:
            self._known[target.target] = target

    @property
    def _report(self) -> Report:
        """What is known by now: each target as it was last looked at."""
        reports = tuple(self._known.values())
        judged = [agent.evaluated_at for target in reports for agent in target.entries]
        return Report(max(judged, default=0.0), reports)

    @property
    def _code(self) -> int:
        return 1 if self._cut else facts.exit_code(self._report, self.asked)

    def _refuse_unknown(self) -> None:
        agents, profiles = facts.names(self._report, self.asked)
        asked = self.asked
        for what, given, there in (("agent", asked.agent, agents), ("profile", asked.profile, profiles)):
            labels = {p.label for t in self._known.values() for a in t.entries for p in a.profiles}
            if given is None or given in there or (what == "profile" and given in labels) or not there:
                continue
            listed = ", ".join(visible(name) for name in there[:20])
            raise click.UsageError(f"there is no {what} named {given!r}; there are {listed}")

    # --- what is shown -------------------------------------------------------------------------

    def _nothing(self) -> None:
        troubles = facts.troubles(self._report, self.asked)
        self.screen.say("Nothing needs signing in again.")
        for _, condition in troubles[:_LISTED]:
            self.screen.say(f"But {condition.severity}: {visible(condition.summary, 400)}")
        if troubles:
            self.screen.say("See `openclaw-auth-exporter explain`.")
            return
        dated = [
            (profile.expires_at, agent, profile)
            for target in self._known.values()
            for agent in target.entries
            if self.asked.wants(agent)
            for profile in agent.profiles
            if profile.expires_at is not None
        ]
        if dated:
            ends, agent, profile = min(dated, key=lambda one: one[0])
            self.screen.say(f"The next to end is {_called(profile.label, agent)}: {self._until(ends)}.")
            self.screen.say("To renew one all the same: --profile ID.")

    def _list(self, wanted: Sequence[Candidate]) -> None:
        ill = [need for need in wanted if need.severity is not Severity.INFO]
        if ill:
            self.screen.say(f"{count(len(ill), 'credential')} {'needs' if len(ill) == 1 else 'need'} you:")
        for number, need in enumerate(wanted, 1):
            mark = f"{number}. " if len(wanted) > 1 else ""
            self.screen.say(f"{mark}{self._what(need)}", " ")
            if len(need.agents) > 1:
                self.screen.say(f"Held by {', '.join(map(visible, need.agents))}.", "   ")

    def _what(self, need: Candidate) -> str:
        if need.conditions:
            worst = need.conditions[0]
            return f"{worst.severity}: {visible(worst.summary, 400)}"
        ends = need.known.expires_at if need.known else None
        state = f" It works {self._until(ends)}." if ends is not None else ""
        return f"{_called(need.profile, need.agent)}: nothing is wrong with it.{state}"

    def _until(self, moment: float) -> str:
        """``until 2027-11-22T10:00:00Z, in 365 days``."""
        left = moment - self._report.checked_at
        how_long = f"in {in_words(left)}" if left > 0 else f"{in_words(left)} ago"
        return f"until {iso(moment) or 'beyond the year 9999'}, {how_long}"

    def _print_commands(self, wanted: Sequence[Candidate]) -> None:
        for need in wanted:
            self.screen.say()
            self.screen.say(f"For {_called(need.profile, need.agent)}:")
            for action in self._actions(need):
                self._show(action)
        self.screen.say()
        self.screen.say("This is no terminal, so nothing was run. Run these, or `reauth` in a terminal (`ssh -t`).")

    def _show(self, action: RenewalAction) -> None:
        if action.kind is StepKind.ADVICE:
            self.screen.say(action.text, "  ")
        else:
            self.screen.show(action.text)

    # --- one credential ------------------------------------------------------------------------

    def _choose(self, wanted: Sequence[Candidate]) -> list[Candidate]:
        if len(wanted) == 1:
            return list(wanted)
        while True:
            words = self.screen.ask("Which? Enter is all in this order; or numbers, like 1 3; or q to leave.")
            if words in ("", "a", "all"):
                return list(wanted)
            if words in ("q", "quit", "n", "no"):
                return []
            numbers = words.replace(",", " ").split()
            if all(number.isdecimal() and 1 <= int(number) <= len(wanted) for number in numbers):
                return [wanted[int(number) - 1] for number in dict.fromkeys(numbers)]

    def _actions(self, need: Candidate) -> tuple[RenewalAction, ...]:
        return self._plan(need).renew()

    def _plan(self, need: Candidate) -> RenewalPlan:
        programs = self.source_of(need.agent.target).programs()
        lifetime = format_duration(self.config.policy.setup_token_lifetime)
        return RenewalPlan(need, programs, lifetime, self.which("claude") is not None)

    def _renew(self, need: Candidate) -> None:
        source = self.source_of(need.agent.target)
        self.screen.say()
        self.screen.say(f"== {_called(need.profile, need.agent)}")
        reason = source.renewal_obstacle(self.which("openclaw") is not None)
        if reason is not None:
            self.screen.say(reason)
            for action in self._actions(need):
                self._show(action)
            return
        if _changed(self._walk(need, self._actions(need))):
            self._check(need)

    def _walk(self, need: Candidate, todo: Sequence[RenewalAction]) -> list[tuple[StepKind, str]]:
        """Offer each step; what was done, and how it was answered."""
        done: list[tuple[StepKind, str]] = []
        for number, action in enumerate(todo, 1):
            self.screen.say()
            self.screen.say(f"Step {number} of {len(todo)}: {action.title}")
            self._show(action)
            if action.hint:
                self.screen.say(action.hint)
            answer = self._do(action, need)
            if answer is NO:
                self.screen.say("Left as it is.")
                if done and not _changed(done):
                    self.screen.say("What you made is not stored yet: run this again and skip step 1.")
                break
            if answer is not SKIP:
                done.append((action.kind, answer))
            if answer is TOOK:
                self._cut.append(need)
            elif action.kind is StepKind.PASTE and answer is YES and need in self._cut:
                self._cut.remove(need)
        return done

    def _do(self, action: RenewalAction, need: Candidate) -> str:
        """Ask for one step until it worked, was skipped or was refused."""
        if action.kind is StepKind.ADVICE:
            return self._answer("Done? [y]es, [N]o", (YES, NO))
        question = "Run it here? [y]es, [s]kip, [N]o"
        while True:
            answer = self._answer(question, (YES, SKIP, NO))
            if answer is not YES:
                return answer
            code = self._hand_over(action, need)
            if code == 0:
                return TOOK if action.may_cut_token else YES
            if action.ends_by_ctrl_c and code not in (_NOT_FOUND, _NO_CONNECTION):
                return YES
            self.screen.say(_failure(code))
            question = "Again? [y]es, [s]kip, [N]o"

    def _answer(self, question: str, allowed: Sequence[str]) -> str:
        """An answer that means something. What else was typed is never repeated: it could be a secret."""
        while True:
            answer = _ANSWERS.get(self.screen.ask(question))
            if answer in allowed:
                assert answer is not None
                return answer

    def _hand_over(self, action: RenewalAction, need: Candidate) -> int:
        programs = self.source_of(need.agent.target).programs()
        variables: dict[str, str] = {}
        if not action.in_own_environment and programs.env_file and programs.openclaw.ssh is None:
            try:
                variables = read_env_file(programs.env_file)
            except CheckError as error:
                self.screen.say(f"{error.message}; continuing without it.")
        environment = environment_of(programs, variables)
        if action.kind is not StepKind.PASTE:
            return self.screen.run(action.text, environment)
        noun = "the token" if action.is_token else "it"
        self.screen.say(f"Paste {noun} now, all its lines. Nothing is shown; it goes on by itself.")
        return self.screen.paste(action.text, environment, is_token=action.is_token, is_noisy=action.echoes)

    # --- what came of it -----------------------------------------------------------------------

    def _check(self, need: Candidate) -> None:
        """Look, say what is so now, and offer what may still help."""
        after = self._look_again(need)
        blocked = after.unusable if after else None
        if after is None or blocked is None or blocked.reason not in remedies.NEEDS_PERSON:
            return
        if blocked.reason != "billing" and facts.was_touched(need.known, after) is False:
            return  # it is refused for what it still is
        plan = self._plan(need)
        more = plan.end_disable()
        done = self._walk(need, more)
        if (StepKind.RUN, TOOK) in done and len(more) == 1:
            self.screen.say("It took what you pasted, perhaps only its first line.")
            done += self._walk(need, plan.paste_again())
        if done:
            self._look_again(need)

    def _look_again(self, need: Candidate) -> ProfileReport | None:
        target = need.agent.target
        self.screen.say()
        self._check_targets([target])
        if target not in self._renewed:
            self._renewed.append(target)
        agent, after = facts.now_of(self._report, need)
        if need in self._cut:
            return after  # told at the end
        for sentence in self._outcome(need, agent, after):
            self.screen.say(sentence)
        stored = after is not None and after.usable and facts.was_touched(need.known, after) is not False
        restart = self._plan(need).restart()
        if stored and restart and not need.profile.startswith("env:"):
            # Seen on all three releases: a running gateway sends the new token, on 2026.6.11 after some seconds.
            self.screen.say("A running gateway takes it over within seconds. If replies still fail:")
            self._show(restart)
        return after

    def _tell_cut(self) -> None:
        """No look can tell a part of a token from a token: OpenClaw calls both usable."""
        for need in self._cut:
            called = _called(need.profile, need.agent)
            self.screen.say(f"OpenClaw holds perhaps only the first line of {called} now. Paste it whole:")
            whose = ("--target", need.agent.target, "--agent", need.agent.agent, "--profile", need.profile)
            self.screen.show(shlex.join(["openclaw-auth-exporter", "reauth", *whose]))

    def _outcome(self, need: Candidate, agent: AgentReport | None, after: ProfileReport | None) -> list[str]:
        called = _called(need.profile, need.agent)
        failure = agent.failure if agent is not None else self._known[need.agent.target].failure
        if failure is not None:
            return [f"It could not be looked at: {visible(failure.message, 400)}."]
        if after is None:
            return [f"There is no {called} yet."]
        touched, blocked = facts.was_touched(need.known, after), after.unusable
        said = []
        if touched is False and (blocked is None or blocked.reason != "billing"):
            said.append(f"OpenClaw still holds for {called} what it held before.")
        elif facts.was_replaced(need.known, after) is False and touched:
            said.append("It is the same secret as before; only its date is new.")
        if blocked is not None:
            stored = "It is stored, but " if touched else ""
            until = f" {self._until(blocked.until)}" if blocked.until is not None else ""
            why = f" ({visible(blocked.reason, 40)})" if blocked.reason else ""
            return [*said, f"{stored}OpenClaw keeps {called} {blocked.kind}{why}{until}. It tries it again then."]
        if touched is False:
            return said
        wrong = [c for c in agent.conditions if c.name in facts.FIXABLE and c.profile == need.profile] if agent else []
        wrong = [condition for condition in wrong if condition.name is not ConditionName.UNDATED]
        if wrong:
            return [*said, f"Not mended yet: {visible(wrong[0].summary, 400)}."]
        if need.profile.startswith("env:"):  # of which no source sees whether it is another one
            return [*said, f"OpenClaw finds {called}. Whether it is good shows at the next reply."]
        ends = f" {self._until(after.expires_at)}" if after.expires_at is not None else ""
        return [*said, f"{called} works{ends}."]

    def _finish(self) -> None:
        self.screen.say()
        if self._renewed:
            told = self.tell(self._renewed)
            if told is not None:
                self.screen.say(told)
        left = facts.find_candidates(self._report, self.asked)
        left = [need for need in left if need.severity is not Severity.INFO]
        self._tell_cut()
        if left:
            self.screen.say(f"{count(len(left), 'credential')} still {'needs' if len(left) == 1 else 'need'} you:")
            for need in left[:_LISTED]:
                self.screen.say(self._what(need), " ")
        elif self._code == 0:
            self.screen.say("All is well.")
        elif not self._cut:
            for _, condition in facts.troubles(self._report, self.asked)[:_LISTED]:
                self.screen.say(f"Still {condition.severity}: {visible(condition.summary, 400)}")


def _called(profile: str, agent: AgentReport) -> str:
    return f"{visible(profile)} on {visible(agent.target)}/{visible(agent.agent)}"


def _failure(code: int) -> str:
    if code == NOTHING_PASTED:
        return "Nothing was stored."
    if code < 0 or code == 130:
        return "Interrupted."
    if code == _NOT_FOUND:
        return "That program is not there."
    if code == _NO_CONNECTION:
        return "ssh could not do it."
    return f"That did not work (exit code {code})."


def _changed(done: Sequence[tuple[StepKind, str]]) -> bool:
    """Whether what was done may have changed what OpenClaw holds."""
    return any(way is not StepKind.MAKE for way, _ in done)
