"""An expression that a person configures matches the whole text, and is refused if any text could make it slow."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import hostile_patterns
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.lib.user_pattern import MAX_LENGTH, user_pattern

ACCEPTED = [
    ("", ""),
    ("|anthropic", "anthropic"),
    ("anthropic|openai", "openai"),
    ("ho.*|vps", "home"),
    ("anthropic:[a-z0-9-]+", "anthropic:team-2"),
    (r"(\d{1,3}\.){3}\d{1,3}", "10.0.0.7"),
    (r"http://10\.0\.\d+\.\d+:18789", "http://10.0.12.7:18789"),
    (r"https?://[^/]+\.example\.com(:\d+)?/.*", "https://a.example.com:8443/x"),
    ("(?:prod|dev){1,2}-[a-z]*", "prod-a"),
    ("(?i:TEAM)-.*?", "team-a"),
    ("(?:a|b)+", "abba"),  # a class for Python
    ("(ab)+", "abab"),
    ("([a-z]+-){3}x", "a-b-c-x"),
    ("[0-9a-f]{64}", "0" * 64),
    ("(?!test)[a-z]+", "home"),
    (".*a.*|.*b.*|.*c.*", "xcx"),  # of alternatives, each for itself
    ("a{0,16}a{0,16}a{0,16}a{0,16}", "a"),
]
REFUSED = [
    ("anthropic:([a-z0-9]+-?)+", "has a repeat inside a repeat"),
    ("http://(a+)+:18789", "has a repeat inside a repeat"),
    ("(a?)*", "has a repeat inside a repeat"),
    ("(a{1,3}b){1,4}", "has a repeat inside a repeat"),
    ("(?:(?:a+)b){2,}?", "has a repeat inside a repeat"),
    ("(?>a+)*+", "has a repeat inside a repeat"),
    ("(a|ab)*", "has alternatives inside a repeat"),
    ("((prod|dev)-)+", "has alternatives inside a repeat"),
    ("(prod|dev){0,17}", "has alternatives inside a repeat"),
    (".*.*.*.*", "has more than 3 repeats without a limit of at most 16"),
    ("a{0,17}a{1,}a*a+", "has more than 3 repeats without a limit of at most 16"),
    ("([a-z]+-){4}", "has more than 3 repeats without a limit of at most 16"),
    (r"(a)\1", "refers to a group"),
    (r"(?P<x>a)(?:(?P=x))*", "refers to a group"),
    ("(a)?(?(1)b|c)", "refers to a group"),
    ("(?=.*a)b", "has a repeat inside (?=…)"),
    ("(?!(x|a{1,3}))b", "has a repeat inside (?=…)"),
    ("a?" * 25, "can match in too many ways"),
    ("(?:(a|ab){16}b){2}", "can match in too many ways"),
    ("(a{0,16}){7}", "can match in too many ways"),
    ("(?:(?=a{50})){9}", "repeats more than 256 parts"),
    ("(?:){4000000000}", "repeats more than 256 parts"),
    ("((a{100}){100}){100}", "repeats more than 256 parts"),
    ("a{99999999999}", "has numbers that are too large"),
    ("a" * 257, "is longer than 256 characters: write a shorter regular expression"),
    ("(", "is no regular expression: missing ), unterminated subpattern"),
]


@pytest.mark.parametrize(("expression", "text"), ACCEPTED)
def test_harmless_expression_matches_the_whole_text(expression: str, text: str) -> None:
    pattern = user_pattern(expression)
    assert pattern.matches(text)
    assert not pattern.matches(f"{text}\n\x00\n")


@pytest.mark.parametrize(("expression", "sentence"), REFUSED)
def test_expression_that_could_take_long_is_refused(expression: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        user_pattern(expression)


def test_refusing_does_not_run_the_expression() -> None:
    started = time.process_time()
    for expression, _ in REFUSED:
        with pytest.raises(ValueError, match=r"^[a-z]"):
            user_pattern(expression)
    assert time.process_time() - started < 0.5


def test_long_text_never_matches() -> None:
    pattern = user_pattern(".*")
    assert pattern.matches("a" * MAX_LENGTH)
    assert not pattern.matches("a" * (MAX_LENGTH + 1))


# --- every accepted expression -----------------------------------------------------------------------

_ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^b]", r"\w", r"\b", "^", "$", "aa", "", "(?=a)", "(?!b|aa)", "(?<=a)"]
)
_REPEATS = st.sampled_from(
    ["*", "+", "?", "*?", "??", "++", "{2}", "{3}", "{0,2}", "{1,16}", "{0,16}?", "{0,17}", "{2,}"]
)


def _composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.builds("(?:{}){}".format, inner, _REPEATS),
        st.builds("(?>{})".format, inner),
    )


EXPRESSIONS = st.recursive(st.one_of(_ATOMS, st.builds("{}{}".format, st.sampled_from("ab."), _REPEATS)), _composed)


def _hostile(expression: str, length: int) -> Iterator[str]:
    yield from (text[-length:] for text in hostile_patterns.hostile(expression, 0, length))
    yield from (text * (length // len(text)) + end for text in ("a", "ab", "aab") for end in ("", "\x00"))


def _seconds(expression: str, length: int) -> float:
    """The CPU time for the most hostile text of ``length`` characters."""
    pattern, worst = user_pattern(expression), 0.0
    for text in dict.fromkeys(_hostile(expression, length - 2)):
        started = time.process_time()
        pattern.matches(text)
        worst = max(worst, time.process_time() - started)
    return worst


@given(EXPRESSIONS)
@example(".*.*.*a?a?b")
@example("(.)*(.)*(.)*(?:c|d)")
@example("a{0,16}a{0,16}a{0,16}a{0,16}a{0,16}")
def test_accepted_expression_takes_little_time_for_any_text(expression: str) -> None:
    """At most with the cube of the length, which stays short for 256 characters."""
    try:
        user_pattern(expression)
    except ValueError:
        assume(False)
    # Little by little, so that a pattern that never returns fails before.
    for length in (6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48):
        assert _seconds(expression, length) < 0.1
    assert _seconds(expression, MAX_LENGTH) < 0.1 + 1.5 * 4**3 * _seconds(expression, MAX_LENGTH // 4)
