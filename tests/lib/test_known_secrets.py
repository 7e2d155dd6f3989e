"""A secret that the process has read comes out of no text, whatever it looks like and wherever it is."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.alerts.channels import DeliveryError
from exporter.lib.known_secrets import KNOWN, MAX_SECRET, REDACTED, KnownSecrets, remember
from exporter.lib.logs import line_of
from exporter.lib.redact import safe_name, safe_text
from exporter.sources import as_typed

#: Not a plain word, which needs eight characters to count.
_SECRETS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=8, max_size=60)


@pytest.mark.parametrize("secret", ["hunter2pw", "correct-horse", "p@ss, w0rd!", 'quo"ted\\9', "12345678", "Zürich-99"])
@pytest.mark.parametrize("around", ["password {}", "x{}y", "{}", "a/b/{}/c", "https://host/{}?x=1", "\x1b[1m{}\x1b[0m"])
def test_known_secret_is_redacted_whatever_its_shape(secret: str, around: str) -> None:
    KNOWN.add(secret)
    assert secret not in safe_text(around.format(secret), 1000)
    assert secret not in KNOWN.redact(f"line\n{around.format(secret)}\n")


@given(_SECRETS, st.text(max_size=50), st.text(max_size=50))
def test_known_secret_survives_nowhere(secret: str, before: str, after: str) -> None:
    known = KnownSecrets()
    known.add(secret)
    if "://" not in secret:
        assert secret not in known.redact(before + secret + after).replace(REDACTED, "\0")


def test_secret_written_for_json_or_a_url_is_redacted_too() -> None:
    secret = 'a"b/c d&e=1'
    KNOWN.add(secret)
    assert safe_text(f"body {json.dumps(secret)}") == f'body "{REDACTED}"'
    assert safe_text(f"at /{quote(secret, safe='')}/x") == f"at /{REDACTED}/x"


@pytest.mark.parametrize("surrogate", [0xDCFF, 0xD800])
def test_secret_that_is_no_utf_8_is_known_too(surrogate: int) -> None:
    secret = f"hunter{chr(surrogate)}2pw"
    remember({"A_KEY": secret})
    assert KNOWN.redact(f"at {secret}") == f"at {REDACTED}"


def test_lines_of_a_secret_are_redacted_one_by_one_and_with_other_spaces() -> None:
    KNOWN.add("first1line\n two  words 2 ")
    assert KNOWN.redact("first1line, two words 2, two  words 2") == f"{REDACTED}, {REDACTED}, {REDACTED}"


def test_every_piece_of_a_long_secret_is_redacted() -> None:
    secret = "-".join(str(number) for number in range(MAX_SECRET))[: 2 * MAX_SECRET]
    KNOWN.add(secret)
    assert secret[-100:] not in KNOWN.redact(f"x {secret}")


def test_word_is_redacted_whole_if_too_many_secrets_end_as_it_does() -> None:
    known = KnownSecrets()
    for length in range(10, 60):
        known.add("x" * length + "y12345")
    assert known.redact(f"at {'x' * 40}y12345 now") == f"at {REDACTED} now"


def test_name_that_was_shown_before_is_redacted_once_it_is_a_secret() -> None:
    assert safe_name("openai:hunter9pw") == "openai:hunter9pw"
    KNOWN.add("hunter9pw")
    assert "hunter9pw" not in safe_name("openai:hunter9pw")


def test_secrets_that_overlap_are_redacted_together() -> None:
    known = KnownSecrets()
    for secret in ("abcdef12", "ef12ghij", "xabcdef12y", "z-ef12ghij"):
        known.add(secret)
    assert known.redact("1 z-ef12ghij 2") == f"1 {REDACTED} 2"
    assert known.redact("1 xabcdef12y 2 abcdef12ghij 3") == f"1 {REDACTED} 2 {REDACTED} 3"


def test_known_secret_at_the_input_limit_is_redacted_as_a_whole() -> None:
    KNOWN.add("one two three 4")
    for at in range(16_360, 16_390):
        shown = safe_text("a " * (at // 2) + "one two three 4 " + "b " * 9000, 100_000)
        assert not {"one", "two", "three", "4"} & set(shown.split())


def test_words_numbers_and_web_hosts_are_no_secrets() -> None:
    for harmless in ("alerts", "main", "1234567", "x1", "https://ntfy.sh", "https://example.org/hook"):
        KNOWN.add(harmless)
    text = "alerts of main 1234567 x1 at https://ntfy.sh and https://example.org/hook"
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://me:hunter2@example.org/", "hunter2"),
        ("https://hooks.example.org/services/T0001234/B0005678", "T0001234"),
        ("https://example.org/push?key=abc12345", "abc12345"),
        ("https://abc12345@example.org/", "abc12345"),
        ("tgram://123456789abc/99", "123456789abc"),
        ("http://[bad/abc12345", "http://[bad/abc12345"),
    ],
)
def test_secret_parts_of_a_url_are_redacted(url: str, secret: str) -> None:
    KNOWN.add(url)
    assert secret not in safe_text(f"x {secret} y")
    assert secret not in KNOWN.redact(f"GET {url}")


def test_name_may_be_the_same_word_as_a_secret() -> None:
    KNOWN.add("anthropic")
    KNOWN.add("hunter2pw")
    assert safe_name("anthropic:default") == "anthropic:default"
    assert safe_text("anthropic said no") == f"{REDACTED} said no"
    shown = safe_name("openai:hunter2pw")
    assert shown.startswith(f"openai:{REDACTED}-")
    assert shown != safe_name("openai:xhunter2pw")


def test_values_named_like_secrets_are_known() -> None:
    remember(
        {
            "gateway": {"auth": {"token": "gateway1token", "mode": "modeword1"}},
            "list": [{"botToken": "botbot99token"}],
            "OPENAI_API_KEYS": "firstkey1,secondkey2",
            "OPENAI_API_KEY": "${OTHER_KEY_1}",
            "token": "~/secret/file1",
            "apiKey": "ANTHROPIC_API_KEY",
            "local_key": "not-a-secret-1",
        },
        but={"not-a-secret-1"},
    )
    text = "gateway1token modeword1 botbot99token firstkey1 secondkey2 ${OTHER_KEY_1} ~/secret/file1 not-a-secret-1"
    text += " ANTHROPIC_API_KEY"
    kept = "modeword1", "${OTHER_KEY_1}", "~/secret/file1", "not-a-secret-1", "ANTHROPIC_API_KEY"
    assert [word for word in KNOWN.redact(text).split() if word != REDACTED] == list(kept)


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("MAIL_PASSWD", "passwd1word", ["passwd1word"]),
        ("privateKey", "private2key", ["private2key"]),
        ("GEMINI_API_KEY_1", "numbered3key", ["numbered3key"]),
        ("TOKENS", "semi4colon;other5key", ["semi4colon", "other5key"]),
        ("TLS_KEY", "C:\\keys\\one.pem", []),
        ("TLS_KEY", "/keys/one.pem", []),
        ("KEYBOARD", "qwerty123", []),
    ],
)
def test_name_decides_what_is_a_secret(name: str, value: str, secrets: list[str]) -> None:
    remember({name: value})
    shown = KNOWN.redact(value)
    assert not any(secret in shown for secret in secrets)
    assert (shown == value) == (not secrets)


def test_secret_that_is_a_plain_word_leaves_our_own_sentences_and_commands_alone() -> None:
    for secret in ("openclaw", "notifier", "anthropic", "hunter2pw", "correct-horse", "31415926"):
        KNOWN.add(secret)
    command = ["/usr/bin/openclaw", "--anthropic", "hunter2pw", "correct-horse", "31415926"]
    assert as_typed(command, None) == ("/usr/bin/openclaw", "--anthropic", REDACTED, REDACTED, REDACTED)
    error = DeliveryError("other", "the notifier of anthropic: hunter2pw")
    assert error.message == f"the notifier of anthropic: {REDACTED}"
    record = logging.LogRecord("exporter.x", logging.ERROR, "f", 1, "the notifier failed: hunter2pw", (), None)
    assert line_of(record) == f"the notifier failed: {REDACTED}"


def test_secret_that_is_a_plain_word_is_redacted_in_what_others_say() -> None:
    KNOWN.add("notifier")
    KNOWN.add("openclaw")
    assert safe_text("sent to notifier by openclaw") == f"sent to {REDACTED} by openclaw"


def test_nothing_that_is_kept_contains_a_secret() -> None:
    known = KnownSecrets()
    known.add("hunter2pw-is-it")
    assert "hunter" not in repr(vars(known))


def test_memory_is_bounded_and_the_latest_secrets_are_kept() -> None:
    known = KnownSecrets(limit=100)
    for number in range(1000):
        known.add("always-read-1")
        known.add(f"secret-{number:06}")
        assert known.redact("always-read-1") == REDACTED
    assert len(known._known) <= 100
    assert len(known._lengths) <= 100
    assert known.redact("always-read-1 secret-000999") == f"{REDACTED} {REDACTED}"
    known.add("a1" * MAX_SECRET)
    assert "a1a1" not in known.redact("x " + "a1" * MAX_SECRET)


class _CountingSecrets(KnownSecrets):
    """Counts how many characters are hashed."""

    hashed = 0

    def _digest(self, value: str) -> bytes:
        self.hashed += len(value)
        return super()._digest(value)


def test_hostile_text_takes_linear_time() -> None:
    known = _CountingSecrets()
    for length in range(10, 60):
        known.add("x" * length + "y12345")
    for text in ("y12345" * 3000, "x" * 18_000, "xy12345 " * 2000):
        known.hashed = 0
        known.redact(text)
        assert known.hashed < 100 * len(text)
