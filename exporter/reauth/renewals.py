"""The renewals that run for a page: at most one for a profile, each led by ``Guide`` in a thread of its own.

A renewal belongs to the browser session that started it. Every step is an audit line in the log, without the secret.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import click

from exporter.config import Config
from exporter.lib import threads
from exporter.lib.durations import format_duration
from exporter.lib.errors import ExpectedError
from exporter.lib.redact import internal_error
from exporter.model import CheckError, Report, StepKind
from exporter.model.renewals import RenewalPreview, RenewalRefusedError, RenewalSubject, RenewalView
from exporter.present.words import visible
from exporter.reauth import texts
from exporter.reauth.candidates import Selection, find_candidates
from exporter.reauth.guide import Guide
from exporter.reauth.page_screen import Entry, PageScreen, Pipe
from exporter.reauth.plan import RenewalPlan
from exporter.sources import Source

log = logging.getLogger(__name__)

#: How many renewals may run at once.
MOST = 4
#: How many codes may be entered for a profile within ``WINDOW`` seconds. A token or a success ends the count.
CODES, WINDOW = 10, 900.0
#: How long the result of a renewal can be read, in seconds.
KEPT = 900.0
#: How long renewals may take to end their programs when the exporter stops, in seconds.
STOP_LIMIT = 4.0


@dataclass
class _Renewal:
    """A renewal, and the browser session ``owner`` to which it belongs."""

    owner: str
    screen: PageScreen
    ended: float | None = None
    thread: Future[None] | None = None


class Renewals:
    """Starts renewals and passes on what people enter. Any thread may call it; ``preview`` and ``start`` read files."""

    def __init__(
        self,
        config: Callable[[], Config],
        report: Callable[[], Report],
        check: Callable[[list[str] | None], Report],
        source_of: Callable[[str], Source],
        pipe: Pipe,
        clock: Callable[[], float] = time.monotonic,
        which: Callable[[str], str | None] = shutil.which,
    ) -> None:
        """``report`` is the last report. ``check`` checks targets, ends their alerts, and blocks."""
        self._config = config
        self._report = report
        self._check = check
        self._source_of = source_of
        self._pipe = pipe
        self._clock = clock
        self._which = which
        self._renewals: dict[str, _Renewal] = {}
        self._codes: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.RLock()

    def preview(self, subject: RenewalSubject) -> RenewalPreview:
        """What a renewal would do. Raises KeyError for a credential that does not exist."""
        report = self._report()
        found = find_candidates(report, Selection(subject.target, subject.agent, subject.profile))
        if not found:
            raise KeyError(subject.profile)
        candidate = found[0]
        source = self._source_of(subject.target)
        plan = RenewalPlan(candidate, source.programs(), self._lifetime(), self._which("claude") is not None)
        steps = tuple((step.title, step.text, step.kind is StepKind.COMMAND) for step in plan.renew())
        obstacle = source.renewal_obstacle(self._which("openclaw") is not None)
        return RenewalPreview(subject, texts.describe(candidate, report.checked_at), steps, obstacle)

    def _lifetime(self) -> str:
        return format_duration(self._config().policy.setup_token_lifetime)

    def start(self, subject: RenewalSubject, owner: str, by: str) -> str:
        """Start a renewal and return its id, or that of the owner's renewal of this profile, which runs already.

        ``by`` names the person's address in the log. Raises KeyError for a credential that does not exist, and
        RenewalRefusedError.
        """
        preview = self.preview(subject)
        if preview.obstacle:
            raise RenewalRefusedError(preview.obstacle)
        with self._lock:
            self._forget_old_ones()
            running = {id: renewal for id, renewal in self._renewals.items() if renewal.ended is None}
            for id, renewal in running.items():
                other = renewal.screen.view().subject
                if (other.target, other.profile) == (subject.target, subject.profile):
                    if renewal.owner == owner:
                        return id
                    raise RenewalRefusedError("Another browser renews this credential at the moment.", 60)
            if len(running) >= MOST:
                raise RenewalRefusedError(f"{MOST} renewals run already: wait until one has ended.", 60)
            if wait := self._wait(subject):
                raise RenewalRefusedError(f"Too many codes were entered for this credential: wait {wait} s.", wait)
            return self._start(subject, owner, by)

    def _start(self, subject: RenewalSubject, owner: str, by: str) -> str:
        id = secrets.token_urlsafe(16)
        audit = partial(_audit, id[:6], subject)
        screen = PageScreen(id, subject, self._pipe, audit, partial(self._may_try, subject), self._clock)
        renewal = self._renewals[id] = _Renewal(owner, screen)
        audit(f"started by a signed-in browser at {by}")
        renewal.thread = threads.begin(partial(self._lead, renewal, subject, audit), "renewal")
        return id

    def _lead(self, renewal: _Renewal, subject: RenewalSubject, audit: Callable[[str], None]) -> None:
        """The thread of a renewal."""
        screen, succeeded, sentence = renewal.screen, False, ""
        selection = Selection(subject.target, subject.agent, subject.profile)
        guide = Guide(
            self._config(), selection, screen, self._check, self._source_of, lambda targets: None, self._which
        )
        try:
            succeeded = guide.run() == 0
        except KeyboardInterrupt:
            sentence = screen.why_stopped
        except click.UsageError as error:
            sentence = error.message
        except (CheckError, ExpectedError) as error:
            sentence = str(error)
        except Exception as error:
            sentence = f"{internal_error(error, 'renewing a credential')}. Please report it."
            log.error("%s", sentence)
        finally:
            audit("ended: nothing is left to do" if succeeded else f"ended: {sentence or 'something is left to do'}")
            with self._lock:
                renewal.ended = self._clock()
                if succeeded:
                    self._codes.pop((subject.target, subject.profile), None)
            screen.finish(succeeded, sentence)

    def view(self, id: str, owner: str) -> RenewalView | None:
        """The state of a renewal; None if the owner has no such renewal."""
        renewal = self._of(id, owner)
        return renewal.screen.view() if renewal else None

    def enter(self, id: str, owner: str, kind: str, value: str) -> None:
        """Pass on what a person entered. It is ignored if the owner has no such renewal."""
        if (renewal := self._of(id, owner)) is not None:
            renewal.screen.enter(Entry(kind, value))

    def _of(self, id: str, owner: str) -> _Renewal | None:
        with self._lock:
            renewal = self._renewals.get(id)
        return renewal if renewal is not None and secrets.compare_digest(renewal.owner, owner) else None

    def end(self, owner: str | None = None, why: str = "The exporter stops.") -> None:
        """End the renewals of a browser session, or all."""
        with self._lock:
            renewals = list(self._renewals.values())
        for renewal in renewals:
            if renewal.ended is None and owner in (None, renewal.owner):
                renewal.screen.stop(why)

    async def stop(self) -> None:
        """End all renewals, with their programs."""
        self.end()
        if threads := [asyncio.wrap_future(thread) for thread in self._running()]:
            await asyncio.wait(threads, timeout=STOP_LIMIT)

    def _running(self) -> list[Future[None]]:
        """The threads of the renewals that run."""
        with self._lock:
            return [one.thread for one in self._renewals.values() if one.ended is None and one.thread is not None]

    def _forget_old_ones(self) -> None:
        now = self._clock()
        for id, renewal in list(self._renewals.items()):
            if renewal.ended is not None and now - renewal.ended > KEPT:
                del self._renewals[id]

    # --- codes -------------------------------------------------------------------------------

    def _recent(self, subject: RenewalSubject) -> deque[float]:
        codes = self._codes.setdefault((subject.target, subject.profile), deque())
        while codes and codes[0] <= self._clock() - WINDOW:
            codes.popleft()
        return codes

    def _may_try(self, subject: RenewalSubject) -> bool:
        with self._lock:
            codes = self._recent(subject)
            if len(codes) >= CODES:
                return False
            codes.append(self._clock())
            return True

    def _wait(self, subject: RenewalSubject) -> int:
        """For how many seconds no code may be entered; 0 if one may."""
        with self._lock:
            codes = self._recent(subject)
            return int(codes[0] + WINDOW - self._clock()) + 1 if len(codes) >= CODES else 0


def _audit(id: str, subject: RenewalSubject, what: str) -> None:
    name = f"{visible(subject.profile)} on {visible(subject.target)}/{visible(subject.agent)}"
    log.info("renewal %s of %s: %s", id, name, visible(what, 2000))
