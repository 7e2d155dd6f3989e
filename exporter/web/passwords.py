"""Compares passwords with bcrypt in a few threads, in an order in which a crowd of guesses keeps no right one waiting.

bcrypt is slow on purpose, so whoever may ask for a comparison can also ask for too many. Refusing an address after
some wrong passwords would also refuse everybody behind the same proxy. Instead, the user at an address with the fewest
wrong passwords comes first, then the address with the fewest failures, of these the newest password, and addresses with
too many failures share one comparison a second. So who guesses one user's password delays no other user.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from starlette.exceptions import HTTPException

SLOTS = 2  # comparisons at once
MAX_WAITING = 16
MAX_ASKERS = 1024  # whose wrong passwords are counted
#: Between two comparisons for addresses with too many failures, in seconds.
PACE = 1.0


class Failures(Protocol):
    """The failed sign-ins of each address, as ``limits.AttemptLimiter`` counts them."""

    def count(self, address: str) -> int: ...
    def wait(self, address: str) -> int: ...


class Asker(NamedTuple):
    """Who wants a password to be compared."""

    address: str
    user: str


@dataclass(eq=False, slots=True)
class _Waiting:
    asker: Asker
    work: Callable[[], bool]
    done: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def next_of(askers: Sequence[Asker], count: Callable[[Asker], tuple[int, int]]) -> int:
    """Which of the waiting passwords is compared next. Their ``askers`` are in the order of arrival.

    ``count`` has the failures of the user at the address, and those of the address.
    """
    return min(range(len(askers)), key=lambda place: (count(askers[place]), -place))


def surplus_of(askers: Sequence[Asker], count: Callable[[Asker], tuple[int, int]]) -> int:
    """Which of them is given up: the oldest of those with the most failed and waiting passwords."""
    users, addresses = Counter(askers), Counter(asker.address for asker in askers)

    def burden(place: int) -> tuple[int, int, int]:
        asker = askers[place]
        of_user, of_address = count(asker)
        return of_user + users[asker], of_address + addresses[asker.address], -place

    return max(range(len(askers)), key=burden)


class PasswordQueue:
    """At most ``SLOTS`` comparisons at once, and ``MAX_WAITING`` that wait for them."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._waiting: list[_Waiting] = []
        self._running = 0
        self._resume_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._wrong: OrderedDict[Asker, int] = OrderedDict()  # wrong passwords, the least recent asker first
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="password")

    async def compare(self, asker: Asker, work: Callable[[], bool]) -> bool:
        """The result of ``work``. Raises HTTPException (429) if too many others are waiting."""
        waiting = _Waiting(asker, work)
        self._waiting.append(waiting)
        self._start()
        if len(self._waiting) > MAX_WAITING:
            surplus = self._waiting.pop(surplus_of([one.asker for one in self._waiting], self._count))
            surplus.done.set_exception(
                HTTPException(429, "Too many sign-ins at once: try again in 1 s.", {"Retry-After": "1"})
            )
        try:
            return await waiting.done
        finally:
            if waiting in self._waiting:  # cancelled: nobody waits for the answer any more
                self._waiting.remove(waiting)

    def _count(self, asker: Asker) -> tuple[int, int]:
        return self._wrong.get(asker, 0), self._failures.count(asker.address)

    def _note(self, asker: Asker, is_right: bool) -> None:
        before = self._wrong.pop(asker, 0)
        if not is_right:
            self._wrong[asker] = before + 1
        if len(self._wrong) > MAX_ASKERS:
            self._wrong.popitem(last=False)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._running < SLOTS:
            place = next_of([one.asker for one in self._waiting], self._count)
            if self._failures.wait(self._waiting[place].asker.address):
                now = loop.time()
                if now < self._resume_at:
                    if self._timer is None:
                        self._timer = loop.call_at(self._resume_at, self._go_on)
                    return
                self._resume_at = now + PACE
            chosen = self._waiting.pop(place)
            self._running += 1
            compared = loop.run_in_executor(self._threads, chosen.work)
            compared.add_done_callback(lambda future, chosen=chosen: self._ended(future, chosen))  # type: ignore[misc]  # bound now

    def _go_on(self) -> None:
        self._timer = None
        self._start()

    def _ended(self, compared: asyncio.Future[bool], chosen: _Waiting) -> None:
        self._running -= 1
        if not compared.cancelled() and compared.exception() is None:
            self._note(chosen.asker, compared.result())
        if not chosen.done.done():
            if compared.cancelled():
                chosen.done.cancel()
            elif (error := compared.exception()) is not None:
                chosen.done.set_exception(error)
            else:
                chosen.done.set_result(compared.result())
        self._start()
