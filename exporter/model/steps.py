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
    """How a command gets a secret; ``reauth`` handles each differently."""

    MAKE = "make"  # makes a new credential and shows it to the person
    PASTE = "paste"  # reads a secret from standard input
    RUN = "run"  # asks the person itself, or asks nothing


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step acts; None: unknown, or it does not matter."""

    host: str | None = None  # a name for ssh, a container's name, or ``localhost``
    user: str | None = None
    home: str | None = None  # OpenClaw's state folder


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``text`` is a command line or a sentence. The fields after ``needs`` are for ``reauth``."""

    kind: StepKind
    text: str
    where: Place = Place()
    needs: tuple[Need, ...] = ()
    action: StepAction = StepAction.RUN
    #: PASTE: the command as it is spelled at the end of a pipe.
    piped: str = ""
    #: PASTE: this release prints what it reads.
    echoes: bool = False
    #: RUN: this is OpenClaw's wizard, which also asks what to set.
    is_wizard: bool = False
    #: RUN: the command has done its work once it asks for a secret.
    is_done_at_prompt: bool = False


def note(sentence: str, where: Place = Place()) -> Step:
    return Step(StepKind.NOTE, sentence, where)


def command(line: str, where: Place = Place(), *needs: Need) -> Step:
    return Step(StepKind.COMMAND, line, where, needs)
