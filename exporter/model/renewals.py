"""A guided renewal as a page shows it. Nothing here holds a secret."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exporter.model.conditions import ConditionName

#: The conditions that signing in again or paying ends, the most urgent first.
FIXABLE = (
    ConditionName.EXPIRED,
    ConditionName.MISSING,
    ConditionName.UNUSABLE,
    ConditionName.EXPIRING,
    ConditionName.UNDATED,
)


class RenewalPhase(enum.StrEnum):
    """What a renewal waits for."""

    WORKING = "working"  # a check or a command
    TERMINAL = "terminal"  # a program that may ask for input
    SECRET = "secret"  # a token or key to paste
    QUESTION = "question"  # one of ``answers``
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RenewalSubject:
    """The credential to renew."""

    target: str
    agent: str
    profile: str


@dataclass(frozen=True, slots=True)
class RenewalPreview:
    """What a renewal would do: the credential's state, and each step's title, text, and whether that is a command."""

    subject: RenewalSubject
    problem: str
    steps: tuple[tuple[str, str, bool], ...]
    obstacle: str | None = None  # why it cannot be renewed from here


@dataclass(frozen=True, slots=True)
class RenewalView:
    """The state of a renewal. ``version`` grows with every change."""

    id: str
    subject: RenewalSubject
    phase: RenewalPhase = RenewalPhase.WORKING
    version: int = 0
    step: str = ""  # its number and title
    command: str = ""
    status: str = ""  # what it does, or waits for, while nobody has anything to enter
    sentences: tuple[str, ...] = ()  # what was said since the last check
    commands: tuple[str, ...] = ()  # those of ``sentences`` that are commands to copy
    links: tuple[str, ...] = ()  # to open in a browser
    device_code: str = ""  # to enter there
    lines: tuple[str, ...] = ()  # what the program shows
    problem: str = ""  # what was wrong with the last input
    asks_code: bool = False  # TERMINAL: it waits for the code that the browser shows after the sign-in
    asks_secret: bool = False  # TERMINAL: what is typed is a secret
    noun: str = ""  # SECRET: what to paste
    question: str = ""
    answers: tuple[tuple[str, str], ...] = ()  # value and label
    can_cancel: bool = True
    succeeded: bool = False  # ENDED: nothing is left to do about the credential


class RenewalRefusedError(Exception):
    """A renewal cannot be started now; the message is a sentence that says why. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
