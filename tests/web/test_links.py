"""Links in notifications: signed, single-use, valid for a day."""

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


def test_a_link_is_valid_once_and_for_a_day() -> None:
    token = sign(KEY, "silence", "f00d", "phone", NOW)
    with pytest.raises(ValueError, match="has expired"):
        read(KEY, token, NOW + LIFE + 1, unused)
    with pytest.raises(ValueError, match="has been used"):
        read(KEY, token, NOW, lambda nonce: True)
    with pytest.raises(ValueError, match="not valid"):
        read(b"another key", token, NOW, unused)


@given(st.text())
def test_other_text_is_not_a_link(token: str) -> None:
    with pytest.raises(ValueError, match="not valid"):
        read(KEY, token, NOW, unused)


def test_a_part_of_a_link_is_not_a_link() -> None:
    token = sign(KEY, "silence", "f00d", "phone", NOW)
    for end in range(len(token)):
        with pytest.raises(ValueError, match="not valid"):
            read(KEY, token[:end], NOW, unused)
