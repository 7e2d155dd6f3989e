"""The daemon as the web side sees it. ``exporter.daemon`` implements this protocol."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from exporter.lib.errors import ExpectedError
from exporter.model import AgentReport, ProfileReport, Report, Step
from exporter.state.day_history import DayHistory
from exporter.web.actions import AlertActions
from exporter.web.events import Announcer
from exporter.web.renewal import RunsRenewals


class OutdatedError(ExpectedError):
    """The metrics cannot be rendered, so what was rendered before may hide a failure. The message says why."""


class DaemonApi(Protocol):
    """What the web side needs from the daemon."""

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        """The last rendered metrics: body, content type, content encoding.

        Raises OutdatedError while they lack the latest reports.
        """

    def report(self) -> Report:
        """The last report."""

    def zone(self) -> dt.tzinfo:
        """The time zone of times on the page."""

    def renewal_steps(self, agent: AgentReport, profile: ProfileReport) -> tuple[Step, ...]:
        """The steps that renew a profile before anything is wrong with it."""

    def health_problem(self) -> str | None:
        """What part of the daemon itself is down, as a sentence; None if all work. No target's trouble is one."""

    def ready(self) -> bool:
        """Whether the server listens and the state is open."""

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        """The exposition of one target after a check of at most ``timeout`` seconds, and its content type.

        A failed check is an exposition too. Raises KeyError for an unknown target or agent.
        """

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        """The configured targets by name, with the labels for Prometheus."""

    async def check_now(self, target: str | None) -> None:
        """Check one target, or all. Returns when the report has the result. Raises KeyError for an unknown target."""

    async def reload(self) -> str | None:
        """Read the configuration again. Returns a sentence if that failed, else None."""

    def calendar(self) -> str:
        """The known deadlines as iCalendar."""

    @property
    def days(self) -> DayHistory:
        """How credentials were on the last days."""

    def checking(self) -> int:
        """How many targets are being checked."""

    @property
    def announcer(self) -> Announcer:
        """Announces new reports and other changes to pages."""

    @property
    def renewals(self) -> RunsRenewals | None:
        """Renews credentials from the page; None unless ``web.reauth`` is set."""

    @property
    def alert_actions(self) -> AlertActions:
        """Silences, acknowledgements, and the buttons of notifications."""
