"""The order in which passwords are compared, and its bounds."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from waiting import LoopClock, until

from exporter.web.passwords import MAX_WAITING, PACE, SLOTS, Asker, PasswordQueue, next_of, surplus_of

askers = st.builds(Asker, st.sampled_from("abcd"), st.sampled_from("uv"))
crowds = st.lists(askers, min_size=1, max_size=12)
HONEST = Asker("honest", "prometheus")
failures = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10))


class Failed:
    """Failures that a test sets."""

    def __init__(self, counts: dict[str, int] | None = None, over: str = "") -> None:
        self.counts = counts or {}
        self.over = over

    def count(self, address: str) -> int:
        return self.counts.get(address, 0)

    def of(self, asker: Asker) -> tuple[int, int]:
        return self.count(asker.user), self.count(asker.address)

    def wait(self, address: str) -> int:
        return 10 if address in self.over else 0


def noting(made: list[str], address: str) -> Callable[[], bool]:
    def work() -> bool:
        made.append(address)
        return True

    return work


@given(crowds, failures)
def test_an_address_that_has_not_failed_comes_before_those_that_have(
    waiting: list[Asker], counts: dict[str, int]
) -> None:
    count = Failed(counts).of
    crowd = [*waiting, HONEST, *waiting]
    chosen = crowd[next_of(crowd, count)]
    assert count(chosen) == (0, 0)


@given(crowds, failures)
def test_the_newest_password_of_an_address_comes_first_and_its_oldest_is_given_up(
    waiting: list[Asker], counts: dict[str, int]
) -> None:
    count = Failed(counts).of
    place = next_of(waiting, count)
    assert waiting[place] not in waiting[place + 1 :]
    place = surplus_of(waiting, count)
    assert waiting[place] not in waiting[:place]


@given(crowds)
def test_whoever_waits_once_is_not_given_up_for_a_crowd(waiting: list[Asker]) -> None:
    most = Counter(waiting).most_common(1)[0][1]
    crowd = [HONEST, *waiting]
    assert most == 1 or crowd[surplus_of(crowd, Failed().of)] != HONEST


@given(st.integers(2, 16))
def test_guesses_of_one_password_behind_a_proxy_delay_no_other_user(guesses: int) -> None:
    guess, right = Asker("proxy", "admin"), Asker("proxy", "prometheus")

    def count(asker: Asker) -> tuple[int, int]:
        return (3 if asker == guess else 0), 10

    crowd = [right, *[guess] * guesses]
    assert crowd[next_of(crowd, count)] == right
    assert crowd[surplus_of(crowd, count)] == guess


async def test_comparisons_at_once_and_waiting_ones_are_bounded() -> None:
    free, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work() -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        free.wait(20)
        with lock:
            running -= 1
        return False

    queue = PasswordQueue(Failed())
    asked = [asyncio.create_task(queue.compare(Asker("a", "u"), work)) for _ in range(100)]
    await until(lambda: sum(task.done() for task in asked) == 100 - SLOTS - MAX_WAITING)
    refused = [task for task in asked if task.done()]
    await until(lambda: running == SLOTS)
    free.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert results.count(False) == SLOTS + MAX_WAITING
    assert most == SLOTS
    error = refused[0].exception()
    assert isinstance(error, HTTPException)
    assert (error.status_code, error.headers) == (429, {"Retry-After": "1"})


async def test_addresses_with_too_many_failures_share_one_comparison_a_second_and_others_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = LoopClock(monkeypatch)
    made: list[str] = []
    queue = PasswordQueue(Failed({"bad": 10, "worse": 10}, over="bad worse"))

    def compare(address: str) -> asyncio.Task[bool]:
        return asyncio.create_task(queue.compare(Asker(address, "u"), noting(made, address)))

    await compare("bad")
    slow = [compare("worse"), compare("bad")]
    await compare("good")
    assert made == ["bad", "good"]
    clock.advance(PACE)
    await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
    assert len(made) == 3
    clock.advance(PACE)
    await asyncio.gather(*slow)
    assert len(made) == 4


async def test_wrong_passwords_of_one_user_count_against_that_user_alone() -> None:
    queue, free = PasswordQueue(Failed({"proxy": 9})), threading.Event()
    for _ in range(3):
        assert not await queue.compare(Asker("proxy", "admin"), lambda: False)
    busy = [asyncio.create_task(queue.compare(Asker("other", "x"), lambda: free.wait(20))) for _ in range(SLOTS)]
    await asyncio.sleep(0)
    made: list[str] = []
    right = asyncio.create_task(queue.compare(Asker("proxy", "prometheus"), noting(made, "prometheus")))
    await asyncio.sleep(0)
    guesses = [asyncio.create_task(queue.compare(Asker("proxy", "admin"), noting(made, "admin"))) for _ in range(40)]
    await until(lambda: sum(guess.done() for guess in guesses) == 40 + 1 - MAX_WAITING)
    free.set()
    assert await right
    assert made[0] == "prometheus"
    await asyncio.gather(*busy, *guesses, return_exceptions=True)


async def test_work_that_raises_raises_and_the_next_one_runs() -> None:
    queue = PasswordQueue(Failed())
    with pytest.raises(ZeroDivisionError):
        await queue.compare(Asker("a", "u"), lambda: 1 // 0 == 0)
    assert await queue.compare(Asker("a", "u"), lambda: True)


async def test_nobody_waits_for_what_was_cancelled() -> None:
    free = threading.Event()
    queue = PasswordQueue(Failed())
    busy = [asyncio.create_task(queue.compare(Asker("a", "u"), lambda: free.wait(20))) for _ in range(SLOTS)]
    made: list[str] = []
    waiting = asyncio.create_task(queue.compare(Asker("a", "u"), noting(made, "a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    free.set()
    assert await asyncio.gather(*busy) == [True] * SLOTS
    assert made == []
