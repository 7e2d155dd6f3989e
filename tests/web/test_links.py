"""Links in notifications: signed, for a day, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.links import LIFE, read, sign

KEY, NOW = b"a key", 1_795_346_770.0


def unused(nonce: str) -> bool:
    return False


def test_a_link_is_read_as_it_was_signed() -> None:
    action = read(KEY, sign(KEY, "acknowledge", "f00d", "phone", NOW), NOW + 1, unused)
    assert (action.name, action.fingerprint, action.channel) == ("acknowledge", "f00d", "phone")


def test_a_link_is_good_for_a_day_and_once() -> None:
    token = sign(KEY, "silence", "f00d", "phone", NOW)
    with pytest.raises(ValueError, match="has expired"):
        read(KEY, token, NOW + LIFE + 1, unused)
    with pytest.raises(ValueError, match="has been used"):
        read(KEY, token, NOW, lambda nonce: True)
    with pytest.raises(ValueError, match="not one of ours"):
        read(b"another key", token, NOW, unused)


@given(st.text())
def test_no_other_text_is_one(token: str) -> None:
    with pytest.raises(ValueError, match="not one of ours"):
        read(KEY, token, NOW, unused)


def test_no_part_of_one_is_one() -> None:
    token = sign(KEY, "silence", "f00d", "phone", NOW)
    for end in range(len(token)):
        with pytest.raises(ValueError, match="not one of ours"):
            read(KEY, token[:end], NOW, unused)
