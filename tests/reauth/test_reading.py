"""What is read from a program's screen, and what of it a page may show."""

from __future__ import annotations

from pathlib import Path

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lib.pseudo_terminal import COLUMNS, LINES
from exporter.reauth import reading
from exporter.verdict.remedies import TOKEN_LENGTH

TOKEN = "sk-ant-oat01-" + "".join(f"{n:03d}_" for n in range(23)) + "AA-"
RECORDED = Path(__file__).parent / "recorded/claude-2.1.330-setup-token.raw"
LINK = "https://claude.ai/oauth/authorize?"


def screens() -> list[list[str]]:
    """The recorded screens of the real ``claude setup-token``: after each piece that was printed."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    recorded, found = RECORDED.read_bytes(), []
    for at in range(0, len(recorded), 200):
        stream.feed(recorded[at : at + 200])
        found.append([line.rstrip() for line in screen.display])
    return found


def test_the_recorded_screens_of_claude_code() -> None:
    """Its link, its prompt, its answer to a wrong code; and nothing of the code that was typed."""
    recorded = screens()
    links = {link for screen in recorded for link in reading.links(screen) if len(link) == 78}
    assert len(links) == 1
    assert links.pop().startswith(LINK)
    assert any("Paste code here if prompted" in reading.shown(screen) for screen in recorded)
    assert any(reading.asks_enter(screen) for screen in recorded)
    failures = [reading.failure(screen) for screen in recorded if reading.asks_enter(screen)]
    assert failures[-1].startswith("OAuth error: Couldn't get an answer from the sign-in service (ENOTFOUND).")
    assert not any("654321" in line for screen in recorded for line in reading.shown(screen))
    assert not any(reading.token(screen) for screen in recorded)


@pytest.mark.parametrize("columns", [20, 40, 80, 108, 600])
def test_a_wrapped_token_is_put_together(columns: int) -> None:
    lines = [TOKEN[at : at + columns] for at in range(0, TOKEN_LENGTH, columns)]
    assert reading.token(["Your token:", "", *(f" {line}" for line in lines), "", "Store it securely."]) == TOKEN


def test_a_token_that_is_drawn_in_part_is_not_whole() -> None:
    for length in range(len("sk-ant-oat01-"), TOKEN_LENGTH):
        found = reading.token([TOKEN[:length]])
        assert found == TOKEN[:length]
        assert not reading.is_whole(found)


def test_words_after_a_token_are_no_part_of_it() -> None:
    assert reading.token([f"export CLAUDE_CODE_OAUTH_TOKEN={TOKEN[:60]}", "", "Done"]) == TOKEN[:60]
    assert reading.token([f"{TOKEN[:60]} (valid)", "Done"]) == TOKEN[:60]


@given(st.integers(0, TOKEN_LENGTH), st.integers(1, 120), st.text(max_size=20))
def test_no_part_of_a_token_is_shown(length: int, columns: int, before: str) -> None:
    drawn = TOKEN[:length]
    lines = [drawn[at : at + columns] for at in range(0, len(drawn), columns)]
    if length > 13 and columns >= 13:
        shown = " ".join(reading.shown([*before.split("\n"), *lines]))
        assert not any(TOKEN[at : at + 8] in shown for at in range(13, TOKEN_LENGTH - 8))


def test_what_is_shown_has_no_boxes_no_covered_input_and_no_keys() -> None:
    screen = [
        "│ ◇  Provider sign-in ─────╮",
        "├──────────────────────────╯",
        "│  ▪▪▪▪_",
        "│ ****g-code               │",
        "Key: sk-proj-abcdefghijklmnop",
        "Code: ABCD-1234",
        "a\u202eb",
    ]
    assert reading.shown(screen) == ("Provider sign-in", "Key: <redacted>", "Code: ABCD-1234", "a\\u202eb")


def test_a_list_to_choose_from_shows_what_is_chosen() -> None:
    menu = ["◆  Auth method", "│  ○ OAuth (CN)", "│  ● OAuth (Global) (the usual one)", "│  ◻ Remember", "└"]
    assert reading.shown(menu) == ("Auth method", "○ OAuth (CN)", "● OAuth (Global) (the usual one)", "◻ Remember")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("│  Code: ABCD-1234   │", "ABCD-1234"),
        ("│  If prompted, enter the code ABCD.", "ABCD"),
        ("Enter code: WDJB-MJHT-QXYZ", "WDJB-MJHT-QXYZ"),
        ("The program ended with exit code 1234", ""),
        ("Error code: 40404", ""),
        ("Code: see above", ""),
        (f"Code: {'A' * 20}", ""),
    ],
)
def test_a_device_code_is_what_a_person_enters_at_the_address(line: str, code: str) -> None:
    assert reading.device_code(["Visit: https://github.com/login/device", line]) == code
    assert reading.device_code([line]) == ""


def test_the_latest_device_code_counts() -> None:
    assert reading.device_code(["Visit https://x.example", "Code: OLD1-OLD1", "Code: NEW1-NEW1"]) == "NEW1-NEW1"


def test_links_are_https_and_each_is_there_once() -> None:
    screen = ["│ https://a.example/x?y=1. │", "See https://a.example/x?y=1", "http://b.example", "javascript:alert(1)"]
    assert reading.links(screen) == ("https://a.example/x?y=1",)
    assert reading.links([f"https://a.example/?token={TOKEN}"]) == ()


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        (
            [" ✘ That doesn't look like the full code.", "   Copy all of it."],
            "That doesn't look like the full code. Copy all of it.",
        ),
        ([" ✘ OAuth error: no.", " Press Enter to retry"], "OAuth error: no."),
        (["Error: expired"], "Error: expired"),
        (["Paste code here"], ""),
    ],
)
def test_the_program_s_own_words_say_what_went_wrong(lines: list[str], failure: str) -> None:
    assert reading.failure(lines) == failure


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (f" {TOKEN[:80]}\r\n{TOKEN[80:]}\n", (TOKEN, "", "")),
        (TOKEN[:80], (TOKEN[:80], "", "Only 80 of 108 characters arrived: it is cut off.")),
        ("x" * 108, ("x" * 108, "", "It does not begin with sk-ant-oat01-: something else was copied.")),
        ("\n ", ("", "Nothing was pasted.", "")),
        ("Your token: 'abc'!", ("", "This is more than a token or key. Copy only that.", "")),
        ("x" * 20_000, ("", "This is more than a token or key. Copy only that.", "")),
    ],
)
def test_a_pasted_token_is_checked_before_it_is_stored(text: str, result: tuple[str, str, str]) -> None:
    assert reading.pasted(text, is_token=True) == result


def test_a_key_may_have_any_length() -> None:
    assert reading.pasted("sk-1/+=.~:@%,_", is_token=False) == ("sk-1/+=.~:@%,_", "", "")
