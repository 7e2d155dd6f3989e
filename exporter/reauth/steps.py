"""Runs the steps of a renewal: shows each one, asks first, and hands the terminal to its command."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from exporter.lib.env_file import read_env_file
from exporter.model import CheckError, StepAction, StepKind
from exporter.reauth import texts
from exporter.reauth.plan import RenewalAction
from exporter.reauth.terminal import environment_of
from exporter.verdict.invocation import Programs


class Screen(Protocol):
    """A person's terminal: ``Terminal``, or what a test puts in its place."""

    is_interactive: bool

    def say(self, text: str = "", indent: str = "") -> None: ...
    def show(self, command: str) -> None: ...
    def ask(self, question: str) -> str: ...
    def run(self, command: str, environment: Mapping[str, str]) -> int: ...
    def paste(self, command: str, environment: Mapping[str, str], *, is_token: bool, echoes: bool) -> int: ...


class Answer(enum.Enum):
    YES = "yes"
    SKIP = "skip"
    NO = "no"


_ANSWERS = {answer.value[:length]: answer for answer in Answer for length in (1, len(answer.value))} | {"": Answer.NO}


def show(screen: Screen, action: RenewalAction) -> None:
    """Show a step's command or advice without running it."""
    if action.kind is not StepKind.COMMAND:
        screen.say(action.text, "  ")
    else:
        screen.show(action.text)


class StepRunner:
    """Runs steps for one credential, with the ``programs`` of its target."""

    def __init__(self, screen: Screen, programs: Programs) -> None:
        self._screen = screen
        self._programs = programs
        #: OpenClaw's own prompt was given a token and may have stored only a part of it.
        self.may_be_cut = False

    def run(self, actions: Sequence[RenewalAction]) -> bool:
        """Offer each step until one is refused; whether they may have changed what OpenClaw holds.

        Raises KeyboardInterrupt for ^C at a question.
        """
        done: list[StepAction] = []
        asked = [action for action in actions if action.action is not StepAction.READ]
        for action in actions:
            self._screen.say()
            if action.action is StepAction.READ:
                self._screen.say(action.text)
                continue
            self._screen.say(f"Step {asked.index(action) + 1} of {len(asked)}: {action.title}")
            show(self._screen, action)
            if action.hint:
                self._screen.say(action.hint)
            answer = self._offer(action)
            if answer is Answer.NO:
                self._screen.say("Left unchanged.")
                if done and set(done) == {StepAction.MAKE}:
                    self._screen.say("Your new token is not stored yet. Run this again and skip step 1.")
                break
            if answer is Answer.YES:
                done.append(action.action)
        return any(action is not StepAction.MAKE for action in done)

    def _offer(self, action: RenewalAction) -> Answer:
        """Ask for one step, and run its command, until it works, is skipped or is refused."""
        if action.kind is not StepKind.COMMAND:
            return self._ask("Done? [y]es, [N]o", Answer.YES, Answer.NO)
        question = "Run it here? [y]es, [s]kip, [N]o"
        while True:
            answer = self._ask(question, *Answer)
            if answer is not Answer.YES:
                return answer
            code = self._run_command(action)
            if code == 0:
                self.may_be_cut = action.may_cut_token or (self.may_be_cut and action.action is not StepAction.PASTE)
                return answer
            if action.ends_by_ctrl_c and code not in (texts.NOT_FOUND, texts.NO_CONNECTION):
                return answer
            self._screen.say(texts.command_failure(code))
            question = "Try again? [y]es, [s]kip, [N]o"

    def _ask(self, question: str, *allowed: Answer) -> Answer:
        """Ask until the answer is allowed. Other input is never repeated: it could be a secret."""
        while True:
            answer = _ANSWERS.get(self._screen.ask(question))
            if answer in allowed:
                return answer

    def _run_command(self, action: RenewalAction) -> int:
        programs, variables = self._programs, dict[str, str]()
        if programs.env_file and programs.openclaw.ssh is None and not action.in_own_environment:
            try:
                variables = read_env_file(programs.env_file)
            except CheckError as error:
                self._screen.say(f"{error.message}; continuing without it.")
        environment = environment_of(programs, variables)
        if action.action is not StepAction.PASTE:
            return self._screen.run(action.text, environment)
        noun = "the token" if action.is_token else "it"
        self._screen.say(f"Paste {noun} now, all its lines. Nothing is shown; it continues by itself.")
        return self._screen.paste(action.text, environment, is_token=action.is_token, echoes=action.echoes)
