"""Runs the steps of a renewal: shows each one, asks first, and hands its command to the screen."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.lib.env_file import read_env_file
from exporter.model import CheckError, StepAction, StepKind
from exporter.reauth import texts
from exporter.reauth.plan import RenewalAction
from exporter.reauth.screen import Answer, Screen
from exporter.reauth.terminal import environment_of
from exporter.verdict.invocation import Programs


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
            self._screen.introduce(action, asked)
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
        again = False
        while True:
            answer = self._screen.offer(action, again=again)
            if answer is not Answer.YES or action.kind is not StepKind.COMMAND:
                return answer
            code = self._run_command(action)
            if code == 0:
                self.may_be_cut = action.may_cut_token or (self.may_be_cut and action.action is not StepAction.PASTE)
                return answer
            if action.ends_by_ctrl_c and code not in (texts.NOT_FOUND, texts.NO_CONNECTION):
                return answer
            self._screen.say(texts.command_failure(code))
            again = True

    def _run_command(self, action: RenewalAction) -> int:
        programs, variables = self._programs, dict[str, str]()
        if programs.env_file and programs.openclaw.ssh is None and not action.in_own_environment:
            try:
                variables = read_env_file(programs.env_file)
            except CheckError as error:
                self._screen.say(f"{error.message}; continuing without it.")
        environment = environment_of(programs, variables)
        if action.action is not StepAction.PASTE:
            return self._screen.run(action, environment)
        return self._screen.paste(action, environment)
