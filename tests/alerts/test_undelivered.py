"""What was not delivered was not sent: it is tried again, and its end is not sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.notifying import FINE, HOOK, House
from alerts.test_worker import Fake
from alerts.worlds import DAY, HOUR, NOW, SPARE, P, world
from exporter.alerts.channels import PermanentError, TemporaryError
from exporter.alerts.delivery.outbox import open_outbox
from exporter.alerts.values import QueuedMessage
from exporter.model import FailureReason


class Refusing(Fake):
    """A channel that refuses everything with ``error`` until it is mended."""

    error: Exception | None = PermanentError(FailureReason.HTTP_ERROR, "404")

    async def send(self, outgoing: QueuedMessage) -> None:
        self.does = [self.error] if self.error is not None else []
        await super().send(outgoing)


async def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[House, Refusing]:
    """A warning whose first notification was refused for good."""
    house = House(monkeypatch, tmp_path)
    await house.notifier.stop()
    house.hook = hook = Refusing()
    house.world = world(P(ends=NOW + 20 * HOUR), SPARE)
    await house.timer()
    assert len(hook.tried) == 1
    return house, hook


async def test_warning_whose_first_was_refused_is_sent_once_the_channel_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    for minute in range(5, 350, 30):
        house.now = NOW + 60 * minute
        await house.timer()
    assert len(hook.tried) == 1, "one try per repeat_every"
    house.now = NOW + 6 * HOUR + 1
    await house.timer()
    assert len(hook.tried) == 2
    hook.error, house.now = None, NOW + 12 * HOUR + 2
    await house.timer()
    assert len(hook.got) == 1
    house.now, house.world = NOW + 13 * HOUR, FINE
    await house.timer()
    assert len(hook.got) == 2, "its end goes where it arrived"
    outbox = open_outbox(tmp_path)
    assert [one.at for one in outbox.outcomes().values()] == [house.now], "what the states follow is noted"
    outbox.close()


async def test_end_of_what_never_arrived_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error, house.now, house.world = None, NOW + HOUR, FINE
    await house.timer()
    assert len(hook.tried) == 1


async def test_new_settings_of_a_channel_try_again_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error, house.now = None, NOW + HOUR
    house.rest["channels"] = [{**HOOK, "url": "http://mended.test"}]
    await house.timer()
    assert len(hook.got) == 1


async def test_first_that_waited_for_three_days_is_sent_when_the_channel_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error = TemporaryError(FailureReason.HTTP_ERROR, "503")
    house.world = world(P(ends=NOW + 30 * DAY, down="billing", down_since=NOW), SPARE)
    start = NOW + 7 * HOUR
    for hours in range(0, 80, 4):
        house.now = start + hours * HOUR
        await house.timer()
    outbox = open_outbox(tmp_path)
    assert {(one.made_at, one.reason) for one in outbox.undeliverable()} == {(NOW, "http_error"), (start, "http_error")}
    outbox.close()
    hook.error, house.now = None, start + 82 * HOUR
    await house.timer()
    assert len(hook.got) == 1


async def test_first_for_a_removed_channel_is_sent_when_it_is_added_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    for hours, channels in ((1, []), (2, [HOOK])):
        hook.error, house.now, house.rest["channels"] = None, NOW + hours * HOUR, channels
        await house.timer()
    assert len(hook.got) == 1
