"""Text from other programs becomes one bounded line without control characters or secrets."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lib.redact import safe_text

_BASE64 = string.ascii_letters + string.digits + "+/=_-"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            'Unknown agent id "nope". Use "openclaw agents list".',
            'Unknown agent id "nope". Use "openclaw agents list".',
        ),
        ("\x1b[31mError:\x1b[0m no\r\n\tway\x00", "Error: no way"),
        ("key sk-ant-oat01-AAAA was refused", "key <redacted> was refused"),
        ("masked sk-ant-o...AAAAAAAA here", "masked <redacted> here"),
        ("masked abcd1234…WXYZ7890 here", "masked <redacted> here"),
        ("hash 0123456789abcdef0123", "hash <redacted>"),
        ("token=hunter2 is wrong", "token=<redacted> is wrong"),
        ('{"apiKey": "hunter2", "x": 1}', '{"apiKey": <redacted>", "x": 1}'),
        ("Authorization: Bearer hunter2", "Authorization: <redacted> <redacted>"),
        ("https://me:hunter2@example.org/x", "https://<redacted>@example.org/x"),
        ("skipping a task in /usr/bin", "skipping a task in /usr/bin"),
        ("right\u202eleft", "rightleft"),
        ("", ""),
    ],
)
def test_secrets_and_control_characters_are_removed(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_long_message_is_cut_at_the_limit() -> None:
    assert safe_text("ab " * 300, 20) == "ab ab ab ab ab ab a…"


@given(st.text(), st.integers(1, 300))
def test_any_text_becomes_one_bounded_line(text: str, limit: int) -> None:
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    shown.encode()


@given(
    st.text(),
    st.text(_BASE64, min_size=20, max_size=200),
    st.text(),
    st.sampled_from([" ", "\n", '"', ": ", "\x1b[1m"]),
)
def test_no_long_run_of_base64_survives(before: str, secret: str, after: str, space: str) -> None:
    shown = safe_text(before + space + secret + space + after, 10_000)
    run = 0
    for char in shown:
        run = run + 1 if char in _BASE64 else 0
        assert run < 20


@given(st.integers(16_300, 16_450), st.text(_BASE64, min_size=60, max_size=200))
def test_secret_that_is_cut_off_at_the_input_limit_is_removed(at: int, secret: str) -> None:
    text = "a " * (at // 2) + secret
    assert set(safe_text(text, 100_000).split()) <= {"a", "<redacted>"}


@pytest.mark.parametrize("word", ["a", "\x1b]", "://", "sk-", "a.", "token=", "\x1b[0", "…"])
def test_hostile_repetitions_take_linear_time(word: str) -> None:
    for text in (word * 5_000_000, "x " + word * (16_000 // len(word))):
        assert len(safe_text(text)) <= 200  # a pattern that backtracks would take minutes
