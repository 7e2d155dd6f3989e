"""Time zones: the host's own, and times in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from exporter.lib.zones import UTC, host_zone, in_zone

STOCKHOLM = ZoneInfo("Europe/Stockholm")


@pytest.fixture(autouse=True)
def _zone_is_read_again() -> Iterator[None]:
    host_zone.cache_clear()
    yield
    host_zone.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It ends at 2026-11-22 21:59 UTC.", "It ends at 2026-11-22 22:59 CET."),
        ("until 2026-07-01T23:30:00Z, in 2 h", "until 2026-07-02 01:30 CEST, in 2 h"),
        ("on 2026-11-22, OpenClaw 2026.9.6 (exit code 2)", "on 2026-11-22, OpenClaw 2026.9.6 (exit code 2)"),
        ("2026-13-40 99:99 UTC and 9999-12-31 23:59 UTC", "2026-13-40 99:99 UTC and 9999-12-31 23:59 UTC"),
        ("2026-11-22T21:59:00+02:00", "2026-11-22T21:59:00+02:00"),
    ],
)
def test_times_of_a_sentence_are_in_the_zone(text: str, expected: str) -> None:
    assert in_zone(text, STOCKHOLM) == expected


def test_host_zone_is_that_of_the_host_and_utc_if_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Stockholm")
    assert host_zone() == STOCKHOLM
    host_zone.cache_clear()
    monkeypatch.setenv("TZ", "Nowhere/AtAll")
    assert host_zone() is UTC
