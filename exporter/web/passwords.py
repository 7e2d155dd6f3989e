"""Compares passwords with bcrypt in a few threads, in an order in which a crowd of guesses keeps no right one waiting.

bcrypt is slow on purpose, so whoever may ask for a comparison can also ask for too many. Refusing an address after
some wrong passwords would also refuse everybody behind the same proxy. Instead, the address with the fewest failures
comes first, of one address the newest password, and addresses with too many failures share one comparison a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from starlette.exceptions import HTTPException

SLOTS = 2  # comparisons at once
MAX_WAITING = 16
#: Between two comparisons for addresses with too many failures, in seconds.
PACE = 1.0


class Failures(Protocol):
    """The failed sign-ins of each address, as ``limits.AttemptLimiter`` counts them."""

    def count(self, address: str) -> int: ...
    def wait(self, address: str) -> int: ...


@dataclass(eq=False, slots=True)
class _Waiting:
    address: str
    work: Callable[[], bool]
    done: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def next_of(addresses: Sequence[str], count: Callable[[str], int]) -> int:
    """Which of the waiting passwords is compared next. Their ``addresses`` are in the order of arrival."""
    return min(range(len(addresses)), key=lambda place: (count(addresses[place]), -place))


def surplus_of(addresses: Sequence[str], count: Callable[[str], int]) -> int:
    """Which of them is given up: the oldest of the address with the most failed and waiting passwords."""
    return max(
        range(len(addresses)), key=lambda place: (count(addresses[place]) + addresses.count(addresses[place]), -place)
    )


class PasswordQueue:
    """At most ``SLOTS`` comparisons at once, and ``MAX_WAITING`` that wait for them."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._waiting: list[_Waiting] = []
        self._running = 0
        self._resume_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="password")

    async def compare(self, address: str, work: Callable[[], bool]) -> bool:
        """The result of ``work``. Raises HTTPException (429) if too many others are waiting."""
        waiting = _Waiting(address, work)
        self._waiting.append(waiting)
        self._start()
        if len(self._waiting) > MAX_WAITING:
            surplus = self._waiting.pop(surplus_of([one.address for one in self._waiting], self._failures.count))
            surplus.done.set_exception(
                HTTPException(429, "Too many sign-ins at once: try again in 1 s.", {"Retry-After": "1"})
            )
        try:
            return await waiting.done
        finally:
            if waiting in self._waiting:  # cancelled: nobody waits for the answer any more
                self._waiting.remove(waiting)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._running < SLOTS:
            place = next_of([one.address for one in self._waiting], self._failures.count)
            if self._failures.wait(self._waiting[place].address):
                now = loop.time()
                if now < self._resume_at:
                    if self._timer is None:
                        self._timer = loop.call_at(self._resume_at, self._go_on)
                    return
                self._resume_at = now + PACE
            chosen = self._waiting.pop(place)
            self._running += 1
            compared = loop.run_in_executor(self._threads, chosen.work)
            compared.add_done_callback(lambda future, chosen=chosen: self._ended(future, chosen))  # type: ignore[misc]

    def _go_on(self) -> None:
        self._timer = None
        self._start()

    def _ended(self, compared: asyncio.Future[bool], chosen: _Waiting) -> None:
        self._running -= 1
        if not chosen.done.done():
            if compared.cancelled():
                chosen.done.cancel()
            elif (error := compared.exception()) is not None:
                chosen.done.set_exception(error)
            else:
                chosen.done.set_result(compared.result())
        self._start()
