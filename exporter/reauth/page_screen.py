"""A page as the screen of a guided renewal: what it shows, and what a person enters there.

``guide`` leads through the steps in a thread of its own and waits here for the person; the web side reads ``view`` and
calls ``enter``. Programs run on a pseudo-terminal. A token that ``claude setup-token`` shows is read from its screen;
any other secret is pasted. Either is kept in memory only, until the renewal ends, and goes to standard input.

Nothing is half-done: a secret that a later step needs is asked for before the first step that changes something, and
from there on nothing can be cancelled until the steps are done or one of them has failed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.lib.known_secrets import KNOWN
from exporter.lib.printable import one_line
from exporter.lib.pseudo_terminal import PseudoTerminal
from exporter.model import Need, StepAction, StepKind
from exporter.model.renewals import RenewalPhase, RenewalSubject, RenewalView
from exporter.reauth import reading, texts
from exporter.reauth.plan import RenewalAction
from exporter.reauth.screen import Answer
from exporter.reauth.terminal import NOTHING_PASTED

#: How long a renewal waits for a person, in seconds; and how long it may take in all.
PATIENCE, MAX_TIME = 600.0, 1800.0
#: How long a command may take that asks nothing, in seconds.
COMMAND_LIMIT = 180.0
#: A screen without a change for so long is complete, in seconds; a program that asks has then asked.
SETTLED, ASKED = 0.3, 1.5
#: After what was typed, a program gets so long to answer before the page offers the field again, in seconds.
ANSWER_LIMIT = 20.0
#: What clack, OpenClaw's library for prompts, puts before the question that waits for an answer.
_ASKS = "◆"
MAX_SENTENCES = 100
_SENT = "The code was sent. The program has not answered yet."

#: Keys that a person can press on the page.
KEYS = {"enter": "\r", "up": "\x1b[A", "down": "\x1b[B", "stop": "\x03"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person entered: ``kind`` is ``text``, ``secret``, ``key``, ``answer`` or ``cancel``."""

    kind: str
    value: str = ""

    def __repr__(self) -> str:  # the value may be a secret
        return f"Entry({self.kind!r})"


#: Runs a program with a secret on its standard input; returns its exit code and what it printed.
Pipe = Callable[[Sequence[str], Mapping[str, str], bytes], tuple[int, str]]


@dataclass
class _Program:
    """A program that runs, and what was last typed for it. Times are of the monotonic clock."""

    action: RenewalAction
    terminal: PseudoTerminal
    is_for_person: bool
    started: float = field(default_factory=time.monotonic)
    shown_at: float = field(default_factory=time.monotonic)
    typed_at: float | None = None  # until it has answered
    problem: str = ""
    old_problem: str = ""  # was on the screen when it was typed
    was_stopped: bool = False

    @property
    def makes(self) -> bool:
        return self.action.action is StepAction.MAKE

    @property
    def is_checking(self) -> bool:
        """Whether it may still answer to what was typed."""
        return self.typed_at is not None and time.monotonic() - self.typed_at < ANSWER_LIMIT

    def typed(self, old_problem: str) -> None:
        self.typed_at, self.problem, self.old_problem = time.monotonic(), "", old_problem

    def is_news(self, problem: str) -> bool:
        """Whether this is an answer to what was typed, and not what is still on the screen."""
        since = time.monotonic() - (self.typed_at or 0.0)
        return problem != self.old_problem or since > ANSWER_LIMIT / 4

    def hear(self, problem: str) -> None:
        self.typed_at, self.problem = None, problem


class PageScreen:
    """The ``Screen`` of one renewal. Its methods up to ``paste`` are for the renewal's thread."""

    is_interactive = True

    def __init__(
        self,
        id: str,
        subject: RenewalSubject,
        pipe: Pipe,
        audit: Callable[[str], None],
        may_try: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``audit`` records a step; ``may_try`` counts a code and says whether it may be tried."""
        self._pipe = pipe
        self._audit = audit
        self._may_try = may_try
        self._clock = clock
        self._view = RenewalView(id, subject)
        self._lock = threading.Lock()
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._steps: Sequence[RenewalAction] = ()
        self._secret: str | None = None
        self._is_made = False  # the secret was read from a screen
        self._began = self._acted = clock()
        self._stops = threading.Event()
        #: Why it ended early, as a sentence.
        self.why_stopped = ""

    # --- the web side ------------------------------------------------------------------------

    def view(self) -> RenewalView:
        with self._lock:
            return self._view

    def enter(self, entry: Entry) -> None:
        """Take what a person entered. It is ignored where nothing waits for it."""
        view = self.view()
        expected = {
            RenewalPhase.TERMINAL: ("text", "key"),
            RenewalPhase.SECRET: ("secret",),
            RenewalPhase.QUESTION: ("answer",),
        }.get(view.phase, ())
        if entry.kind in expected or (entry.kind == "cancel" and view.can_cancel):
            self._entries.put(entry)

    def stop(self, why: str) -> None:
        """End it soon, whatever it does: the exporter stops, or the person has signed out."""
        self.why_stopped = self.why_stopped or why
        self._stops.set()

    def finish(self, succeeded: bool, sentence: str = "") -> None:
        """Show the result. The secret is forgotten."""
        self._secret = None
        if sentence:
            self.say(sentence)
        self._change(phase=RenewalPhase.ENDED, succeeded=succeeded, can_cancel=False)

    # --- what is shown -----------------------------------------------------------------------

    def _change(self, **fields: Any) -> None:
        with self._lock:
            changed = replace(self._view, **fields)
            if changed != self._view:
                self._view = replace(changed, version=self._view.version + 1)

    def _wait_as(self, phase: RenewalPhase, **fields: Any) -> None:
        """Show that ``phase`` has begun, without what belonged to the phase before."""
        empty: dict[str, Any] = {"links": (), "device_code": "", "lines": (), "asks_code": False, "asks_secret": False}
        empty |= {"noun": "", "status": ""}
        self._change(phase=phase, **{**empty, "question": "", "answers": (), **fields})

    def say(self, text: str = "", indent: str = "") -> None:
        safe = one_line(KNOWN.redact(" ".join(text.split()), of_ours=True))
        if safe.endswith("..."):  # a check: what was said before it is out of date
            self._change(status=safe, sentences=(), commands=())
        elif safe and not safe.startswith("== "):  # the page has a heading
            self._change(sentences=(*self._view.sentences, safe)[-MAX_SENTENCES:])

    def show(self, command: str) -> None:
        safe = one_line(KNOWN.redact(command, of_ours=True))
        self._change(sentences=(*self._view.sentences, safe)[-MAX_SENTENCES:], commands=(*self._view.commands, safe))

    def introduce(self, action: RenewalAction, steps: Sequence[RenewalAction]) -> None:
        self._steps = steps
        number = f"Step {steps.index(action) + 1} of {len(steps)}: {action.title}"
        command = one_line(action.text) if action.kind is StepKind.COMMAND else ""
        self._wait_as(RenewalPhase.WORKING, step=number, command=command, problem="")
        if action.kind is not StepKind.COMMAND:
            self.say(action.text)
        # The other hints are about pasting into a terminal, and about ^C there.
        if action.action not in (StepAction.MAKE, StepAction.PASTE) and not self._answers_itself(action):
            self.say(action.hint)

    # --- what a person decides ---------------------------------------------------------------

    def ask(self, question: str) -> str:
        return ""  # which of several: all, which were chosen by one name

    def offer(self, action: RenewalAction, *, again: bool) -> Answer:
        if again:
            question = "Try this step again?"
            answer = self._choose(question, ("yes", "Try again"), ("skip", "Skip it"))
            if answer is Answer.YES and action.action is StepAction.PASTE and not self._is_made:
                self._secret = None
            if answer is not Answer.YES:
                return answer
        self._take_cancellation()
        paste = self._paste_from(action)
        if action.kind is not StepKind.COMMAND and (paste is None or self._secret is not None):
            return self._choose("Have you done this?", ("yes", "Done"))
        if action.action is not StepAction.MAKE and paste is not None and self._secret is None:
            self._ask_secret(paste)
        changes = action.kind is StepKind.COMMAND and action.action is StepAction.RUN and not action.needs
        if changes and paste is None and any(step.needs for step in self._from(action)):
            # A login cannot be prepared as a secret can.
            question = "This removes the old credential, and the sign-in follows. Without it, there is none. Go on?"
            return self._choose(question, ("yes", "Go on"))
        return Answer.YES

    def _from(self, action: RenewalAction) -> Sequence[RenewalAction]:
        """``action`` and the steps after it."""
        return self._steps[self._steps.index(action) :] if action in self._steps else [action]

    def _paste_from(self, action: RenewalAction) -> RenewalAction | None:
        """The first step from ``action`` on that needs a pasted secret."""
        return next((step for step in self._from(action) if step.action is StepAction.PASTE), None)

    def _choose(self, question: str, *answers: tuple[str, str]) -> Answer:
        self._wait_as(RenewalPhase.QUESTION, question=question, answers=answers, can_cancel=True)
        entry = self._await("answer")
        self._wait_as(RenewalPhase.WORKING)
        return Answer(entry.value) if entry.value in dict(answers) else Answer.NO

    def _ask_secret(self, paste: RenewalAction) -> None:
        noun = "setup-token" if paste.is_token else "token or key"
        problem = ""
        while self._secret is None:
            self._wait_as(RenewalPhase.SECRET, noun=noun, problem=problem)
            entry = self._await("secret")
            secret, problem, doubt = reading.pasted(entry.value, is_token=paste.is_token)
            if problem:
                continue
            KNOWN.add(secret)
            again = ("skip", "Paste it again")
            if not doubt or self._choose(f"{doubt} Store it anyway?", again, ("yes", "Store it")) is Answer.YES:
                self._secret, self._is_made = secret, False
                self._audit("a secret was pasted")
        self._wait_as(RenewalPhase.WORKING, problem="")

    def _await(self, kind: str) -> Entry:
        """The next entry of this kind. Raises KeyboardInterrupt if the renewal ends instead."""
        self._acted = self._clock()
        while True:
            self._require_time()
            try:
                entry = self._entries.get(timeout=0.1)
            except queue.Empty:
                continue
            self._acted = self._clock()
            if entry.kind == "cancel":
                self._interrupt("Cancelled.")
            if entry.kind == kind:
                return entry

    def _take_cancellation(self) -> None:
        """Drop what was entered for an earlier step. Raises KeyboardInterrupt if it was cancelled meanwhile."""
        while not self._entries.empty():
            if self._entries.get().kind == "cancel" and self._view.can_cancel:
                self._interrupt("Cancelled.")
        self._require_time()

    def _require_time(self) -> None:
        now = self._clock()
        if self._stops.is_set():
            self._interrupt(self.why_stopped)
        if now - self._acted > PATIENCE or now - self._began > MAX_TIME:
            self._interrupt("It took too long, so it was ended.")

    def _interrupt(self, why: str) -> None:
        self.why_stopped = self.why_stopped or why
        raise KeyboardInterrupt

    # --- commands ----------------------------------------------------------------------------

    def run(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        is_for_person = action.action is StepAction.MAKE or bool(action.needs)
        self._audit(f"runs {action.text}")
        self._wait_as(RenewalPhase.TERMINAL if is_for_person else RenewalPhase.WORKING, can_cancel=is_for_person)
        try:
            terminal = PseudoTerminal(action.text, environment)
        except OSError:
            self.say("The command could not be started.")
            return texts.NOT_FOUND
        try:
            code = self._converse(_Program(action, terminal, is_for_person))
        except ValueError as error:
            self.say(f"{str(error).capitalize()}.")
            code = 1
        finally:
            terminal.end()
            self._wait_as(RenewalPhase.WORKING)
        if self._secret is None or action.action is not StepAction.MAKE:
            self._audit(f"exit code {code}")
        return code

    def _converse(self, program: _Program) -> int:
        """Until the program ends or has shown a token: show what it shows, and type what the person enters."""
        self._acted = self._clock()
        terminal = program.terminal
        while True:
            is_running = terminal.listen(0.1)
            lines, quiet = terminal.lines, time.monotonic() - terminal.printed_at
            found = reading.token(lines) if program.makes else None
            if found is not None and (reading.is_whole(found) or quiet > ASKED or not is_running):
                return self._take(found)
            if not is_running:
                return self._ended(terminal.wait(1.0), program, lines)
            if quiet > SETTLED:
                self._answer_alone(program, lines, quiet)
            if program.is_for_person:
                self._require_time()
                if quiet > SETTLED or time.monotonic() - program.shown_at > ASKED:  # some always draw something
                    self._show_program(program, terminal.lines)
                self._type_entries(program)
            elif time.monotonic() - program.started > COMMAND_LIMIT:
                raise ValueError("the command did not end in time")

    def _answer_alone(self, program: _Program, lines: Sequence[str], quiet: float) -> None:
        """Answer what needs no person."""
        terminal = program.terminal
        if program.makes and reading.asks_enter(lines):
            program.hear(reading.failure(lines))
            terminal.type("\r")
            self._settle(terminal)
        stops = self._answers_itself(program.action)
        if stops and not program.was_stopped and quiet > ASKED and terminal.reads_keys and _ASKS in "".join(lines):
            program.was_stopped = True
            terminal.type(KEYS["stop"])

    def _show_program(self, program: _Program, lines: Sequence[str]) -> None:
        program.shown_at = time.monotonic()
        failed = reading.failure(lines)
        if program.typed_at is not None and failed and program.is_news(failed):
            program.hear(failed)
        links = reading.links(lines) or (self._view.links if program.makes else ())
        if links and not self._view.links:
            self._audit("a sign-in link is shown")
        self._change(
            links=links,
            device_code=reading.device_code(lines),
            status=_SENT if program.makes and program.is_checking else "",
            lines=reading.shown(lines),
            problem=program.problem,
            asks_code=program.makes and bool(links) and not program.is_checking,
            asks_secret=Need.SECRET in program.action.needs,
        )

    def _type_entries(self, program: _Program) -> None:
        """Type what was entered since. Raises KeyboardInterrupt for a cancellation and for too many codes."""
        terminal = program.terminal
        while not self._entries.empty():
            entry = self._entries.get()
            self._acted = self._clock()
            if entry.kind == "cancel":
                self._interrupt("Cancelled.")
            if entry.kind == "key":
                terminal.type(KEYS.get(entry.value, ""))
                continue
            if not self._may_try():
                self._audit("too many codes were entered")
                self._interrupt("Too many codes were entered.")
            self._audit("a code was entered")
            text = "".join(char for char in entry.value if char.isprintable())
            if self._view.asks_code or self._view.asks_secret or any(map(str.isdigit, text)):
                KNOWN.add(text)  # not a word that it chose
            self._change(problem="", asks_code=False, status=_SENT if program.makes else "")
            program.typed(reading.failure(terminal.lines))
            terminal.type(text)
            self._settle(terminal)
            terminal.type("\r")  # apart: a program may take both at once for a paste of several lines
            self._settle(terminal)

    def _settle(self, terminal: PseudoTerminal) -> None:
        """Let the program draw what was typed."""
        typed_at = time.monotonic()
        while terminal.listen(0.1) and (now := time.monotonic()) - typed_at < 5 * SETTLED:
            if now - max(typed_at, terminal.printed_at) > SETTLED:
                return

    def _take(self, token: str) -> int:
        KNOWN.add(token)
        self._secret, self._is_made = token, True
        self._audit("a token was read from its screen")
        self._wait_as(RenewalPhase.WORKING, problem="")
        if reading.is_whole(token):
            self.say("The new token is here.")
            return 0
        self.say(reading.pasted(token, is_token=True)[2])
        return self._refuse()

    def _refuse(self) -> int:
        self._secret = None
        return NOTHING_PASTED

    def _answers_itself(self, action: RenewalAction) -> bool:
        """Whether the command has done its work when it asks, and a later step takes the secret."""
        return action.ends_by_ctrl_c and self._paste_from(action) is not None

    def _ended(self, code: int, program: _Program, lines: Sequence[str]) -> int:
        """The exit code of a program that ended, whose last words explain a failure."""
        if program.makes and code == 0:
            self.say("It ended without showing a token.")
            return self._refuse()
        if code != 0 and not program.was_stopped:
            for line in reading.shown(lines)[-3:]:
                self.say(line)
        return code

    def paste(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        if self._secret is None:
            return NOTHING_PASTED
        self._wait_as(RenewalPhase.WORKING, can_cancel=False)
        self._audit(f"gives the secret to {action.text}")
        # The prompts of 2026.2 need the Enter key's own character; the others ignore it.
        code, printed = self._pipe(["/bin/sh", "-c", action.text], environment, f"{self._secret}\r".encode())
        self._audit(f"exit code {code}")
        if code != 0 and not action.echoes:
            for line in reading.shown(printed.split("\n"))[-3:]:
                self.say(line)
        return code
