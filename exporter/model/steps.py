"""The steps of a remedy: what a person types or does, in order, and where."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class StepKind(enum.StrEnum):
    """The kind of a step, as the JSON has it."""

    COMMAND = "command"  # a line to type as it is
    WAIT = "wait"  # nothing to do until time has passed
    NOTE = "note"  # a sentence: something to do or to know that is no command


class Need(enum.StrEnum):
    """What a person must have at hand for a step."""

    TERMINAL = "terminal"  # the command asks questions
    BROWSER = "browser"  # to sign in, on any device
    SECRET = "secret"  # a token or key to paste


class StepAction(enum.StrEnum):
    """How ``reauth`` leads a person through a step."""

    MAKE = "make"  # makes a new credential and shows it to the person
    PASTE = "paste"  # reads a secret from standard input
    RUN = "run"  # asks the person itself, or asks nothing
    DO = "do"  # no command: a person does it
    READ = "read"  # nothing to do: it explains the next step


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step acts; None: unknown, or it does not matter."""

    host: str | None = None  # a name for ssh, a container's name, or ``localhost``
    user: str | None = None
    home: str | None = None  # OpenClaw's state folder


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``text`` is a command line or a sentence. The fields after ``needs`` are for ``reauth``."""

    kind: StepKind
    text: str
    where: Place = NOWHERE
    needs: tuple[Need, ...] = ()
    action: StepAction = StepAction.RUN
    title: str = ""
    #: PASTE: the command as it is spelled at the end of a pipe.
    piped: str = ""
    #: PASTE: this release prints what it reads.
    echoes: bool = False
    #: RUN: the command has done its work once it asks for a secret.
    is_done_at_prompt: bool = False


def note(sentence: str, where: Place = NOWHERE) -> Step:
    """A sentence that explains a remedy, or offers another one."""
    return Step(StepKind.NOTE, sentence, where, action=StepAction.READ)


def task(title: str, sentence: str, where: Place = NOWHERE) -> Step:
    """Something that a person does without a command."""
    return Step(StepKind.NOTE, sentence, where, action=StepAction.DO, title=title)


def command(line: str, where: Place = NOWHERE, *needs: Need, title: str = "") -> Step:
    return Step(StepKind.COMMAND, line, where, needs, title=title)
