"""Durations and dates are parsed and formatted exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lib.durations import END_OF_DATES, format_duration, in_words, iso, parse_date, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("24h", 86400), ("14d", 1209600), ("1h30m", 5400), ("1y", 31536000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "m5", "5m!", "-5m", "5mm", "1e3s"])
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@given(st.integers(1, 10**7))
def test_formatted_duration_parses_to_the_same_seconds(seconds: int) -> None:
    assert parse_duration(format_duration(float(seconds))) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-03-01", 1772323200), ("2026-03-01T12:00:00Z", 1772366400), ("2026-03-01T12:00:00+02:00", 1772359200)],
)
def test_dates(text: str, seconds: float) -> None:
    assert parse_date(text) == seconds


@given(st.floats(allow_nan=False))
def test_iso_is_a_date_or_none(seconds: float) -> None:
    text = iso(seconds)
    if 0 <= seconds <= END_OF_DATES:
        assert text is not None
        assert parse_date(text) == int(seconds)
    else:
        assert text is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (12 * 60, "12 min"), (3600, "1 h"), (5400, "1 h 30 min"), (86400, "1 day"),
     (3 * 86400 + 4 * 3600, "3 days 4 h"), (20 * 86400 + 5, "20 days"), (-90, "1 min"), (0, "0 s")],
)  # fmt: skip
def test_duration_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
