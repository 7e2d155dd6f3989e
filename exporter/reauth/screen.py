"""What a person sees of a renewal, and how they answer: the front end that ``guide`` and ``steps`` talk to.

``terminal`` is the person's own terminal; ``page_screen`` is a page in a browser.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from exporter.model import StepKind
from exporter.reauth.plan import RenewalAction


class Answer(enum.Enum):
    YES = "yes"
    SKIP = "skip"
    NO = "no"


_ANSWERS = {answer.value[:length]: answer for answer in Answer for length in (1, len(answer.value))} | {"": Answer.NO}


class Screen(Protocol):
    """A front end. Its methods return when the person has answered, or raise KeyboardInterrupt if they stop."""

    #: Whether a person can answer.
    is_interactive: bool

    def say(self, text: str = "", indent: str = "") -> None:
        """Show sentences."""

    def show(self, command: str) -> None:
        """Show a command, to be copied."""

    def ask(self, question: str) -> str:
        """A typed answer in lower case."""

    def introduce(self, action: RenewalAction, steps: Sequence[RenewalAction]) -> None:
        """Show the step that is offered next; ``steps`` are all of the credential's."""

    def offer(self, action: RenewalAction, *, again: bool) -> Answer:
        """Ask whether to do the step. ``again``: its command has just failed."""

    def run(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        """Give the command a terminal until it ends. Returns its exit code, negative for a signal."""

    def paste(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        """Let the person paste a secret for the command. Returns its exit code, or NOTHING_PASTED."""


class TypedAnswers:
    """The part of a ``Screen`` that asks in words, for front ends where a person types."""

    def say(self, text: str = "", indent: str = "") -> None:
        raise NotImplementedError

    def show(self, command: str) -> None:
        raise NotImplementedError

    def ask(self, question: str) -> str:
        raise NotImplementedError

    def introduce(self, action: RenewalAction, steps: Sequence[RenewalAction]) -> None:
        self.say(f"Step {steps.index(action) + 1} of {len(steps)}: {action.title}")
        show(self, action)
        if action.hint:
            self.say(action.hint)

    def offer(self, action: RenewalAction, *, again: bool) -> Answer:
        if action.kind is not StepKind.COMMAND:
            return self._choose("Done? [y]es, [N]o", Answer.YES, Answer.NO)
        return self._choose(f"{'Try again?' if again else 'Run it here?'} [y]es, [s]kip, [N]o", *Answer)

    def request_paste(self, action: RenewalAction) -> None:
        noun = "the token" if action.is_token else "it"
        self.say(f"Paste {noun} now, all its lines. Nothing is shown; it continues by itself.")

    def _choose(self, question: str, *allowed: Answer) -> Answer:
        """Ask until the answer is allowed. Other input is never repeated: it could be a secret."""
        while True:
            answer = _ANSWERS.get(self.ask(question))
            if answer in allowed:
                return answer


class _Shows(Protocol):
    def say(self, text: str = "", indent: str = "") -> None: ...
    def show(self, command: str) -> None: ...


def show(screen: _Shows, action: RenewalAction) -> None:
    """Show a step's command or advice without running it."""
    if action.kind is not StepKind.COMMAND:
        screen.say(action.text, "  ")
    else:
        screen.show(action.text)
