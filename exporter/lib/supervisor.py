"""Keeps long-lived tasks running: one that fails is started again after a pause, is counted, and is named meanwhile.

Every task of the daemon that lives longer than its caller belongs to one ``Supervisor``, so ``Supervisor.stop`` leaves
none behind. No exception gets past it to asyncio's own logger, which would print its text: that may quote a secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from exporter.lib import tasks
from exporter.lib.redact import internal_error

log = logging.getLogger(__name__)

#: The pause before a task is started again, in seconds: the first one, and the longest. It doubles.
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
#: A task that has run for so long without failing gets the first pause again, in seconds.
STEADY = 300.0

#: What a long-lived task does. It ends only when it is cancelled, or asked to by whoever started it.
Work = Callable[[], Coroutine[Any, Any, None]]


class UnexpectedEndError(Exception):
    """A long-lived task returned although nobody stopped it."""


class SupervisedTask:
    """One long-lived task, which is started again whenever it fails."""

    def __init__(self, name: str, work: Work) -> None:
        self.name = name
        #: How often it was started again.
        self.restarts = 0
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._stops = False
        self._failure: str | None = None  # the last one
        self._pause = 0.0  # after it, in seconds
        self._pauses = False
        self._began = 0.0  # by the loop's clock: the last start

    @property
    def problem(self) -> str | None:
        """That it is down, as a sentence. After a restart it counts as up once it has run for as long as it paused."""
        if self._failure is None:
            return None
        if self._pauses:
            return f"{self._failure}; it starts again in {self._pause:.0f} s or less"
        if self._clock() - self._began < self._pause:
            return f"{self._failure}; it has just started again"
        return None

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done() and not self._stops

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running(), name=self.name)

    async def stop(self, grace: float = 0.0) -> None:
        """Cancel it unless it ends within ``grace`` seconds, and wait until it has ended."""
        self._stops = True
        await tasks.end(self._task, grace=0.0 if self._pauses else grace)

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    async def _keep_running(self) -> None:
        while not self._stops:
            self._began, self._pauses = self._clock(), False
            try:
                await self._work()
                error: BaseException = UnexpectedEndError()
            except (Exception, asyncio.CancelledError) as raised:
                if isinstance(raised, asyncio.CancelledError) and tasks.is_cancelled():
                    raise
                error = raised
            if self._stops:
                return
            self._failure = internal_error(error, f"running the task {self.name!r}")
            steady = self._clock() - self._began >= STEADY
            self._pause = FIRST_PAUSE if steady or not self._pause else min(self._pause * 2, MAX_PAUSE)
            self._pauses = True
            log.error("%s; it starts again in %.0f s", self._failure, self._pause)
            await asyncio.sleep(self._pause)
            self.restarts += 1


class Supervisor:
    """All tasks of one process that outlive their caller. To be used from its event loop."""

    def __init__(self) -> None:
        self._long_lived: dict[str, SupervisedTask] = {}
        self._short_lived: set[asyncio.Task[Any]] = set()
        self._restarts: dict[str, int] = {}  # of earlier tasks of the same name: a reload replaces some
        self._stopped = False

    def start(self, name: str, work: Work) -> SupervisedTask:
        """Run ``work`` until its task is stopped; again after each failure. ``name`` is what people and metrics see.

        Raises RuntimeError if a task of this name still runs. Nothing runs any more after ``stop``.
        """
        task = SupervisedTask(name, work)
        if self._stopped:
            return task
        if (before := self._long_lived.get(name)) is not None:
            if before.is_running:
                raise RuntimeError(f"the task {name!r} already runs")
            self._restarts[name] = self._restarts.get(name, 0) + before.restarts
        self._long_lived[name] = task
        task.start()
        return task

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run ``work``, which soon ends. An error in it is logged. After ``stop`` nothing runs: returns None."""
        if self._stopped:
            work.close()
            return None
        task = tasks.begin(work, name=name)
        self._short_lived.add(task)
        task.add_done_callback(self._short_lived_ended)
        return task

    def _short_lived_ended(self, task: asyncio.Task[None]) -> None:
        self._short_lived.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s", internal_error(error, task.get_name()))

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each long-lived task was started again since the process started."""
        running = [task for task in self._long_lived.values() if task.is_running]
        return {task.name: self._restarts.get(task.name, 0) + task.restarts for task in running}

    @property
    def problem(self) -> str | None:
        """The first task that is down, as a sentence; None if all run."""
        running = (task for task in self._long_lived.values() if task.is_running)
        return next((problem for task in running if (problem := task.problem) is not None), None)

    async def stop(self) -> None:
        """End every task. Nothing can be started any more."""
        self._stopped = True
        await asyncio.gather(tasks.end(*self._short_lived), *(task.stop() for task in self._long_lived.values()))
