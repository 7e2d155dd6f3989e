"""What the daemon itself fails to do at present. Its heartbeat reports it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.lib import tasks
from exporter.lib.redact import internal_error
from exporter.model import Report

log = logging.getLogger(__name__)


class Faults:
    """The daemon's duties whose last attempt failed, each with a sentence."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}

    @property
    def first(self) -> str | None:
        """The oldest fault as a sentence; None if there is none."""
        return next(iter(self._current.values()), None)

    @contextmanager
    def surviving(self, doing: str) -> Iterator[None]:
        """An error in the block is a fault until the block succeeds, and ends nothing. ``doing`` names the duty."""
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and tasks.is_cancelled():
                raise
            self._current[doing] = internal_error(error, doing)
            log.error("%s", self._current[doing])
        else:
            self._current.pop(doing, None)


def failing_check(report: Report) -> str | None:
    """The first check that fails because of us, as a sentence."""
    agents = (agent for target in report.targets for agent in target.entries)
    failing = (agent for agent in agents if agent.failure and agent.failure.reason.is_our_fault)
    return next((f"{agent.target}/{agent.agent}: {agent.failure.message}" for agent in failing if agent.failure), None)
