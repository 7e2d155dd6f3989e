"""The buttons of the notification on a phone, and the widget. Each test asserts every call to the outside exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from termux.phone import NOW, Phone
from termux.situations import (
    ASK_URL,
    EXPIRED,
    EXPIRED_TITLE,
    EXPIRING,
    REAUTH,
    REMOVE,
    SILENT,
    URL,
    Situations,
    expired,
    session,
)


@pytest.fixture
def shell() -> Path:
    return Path("/bin/sh").resolve()


class ButtonSituations(Situations):
    # --- buttons ---------------------------------------------------------------------------------------

    def test_silence_holds_for_8_hours(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        assert alarmed.calls() == [REMOVE, SILENT]
        alarmed.later(hours=7.9)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]
        alarmed.later(hours=0.1)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed, "18:00")]

    def test_swiping_away_hides_the_same_trouble_for_2_hours(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "on-delete")
        assert alarmed.calls() == []
        alarmed.later(hours=1.9)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]
        alarmed.later(hours=0.1)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed, "12:00")]

    @pytest.mark.parametrize("action", ["button3-action", "on-delete"])
    @pytest.mark.parametrize("line", ["UNUSABLE openai:x on home/main (billing)", "UNKNOWN home/main (timeout)"])
    def test_other_trouble_is_heard_during_a_silence(self, alarmed: Phone, action: str, line: str) -> None:
        alarmed.tap(expired(alarmed), action)
        alarmed.calls()
        alarmed.answers("curl", line)
        alarmed.do("job")
        assert [call[0] for call in alarmed.calls()] == ["curl", "termux-notification"]
        # The first trouble again: still silenced, and what is over is no longer shown.
        alarmed.answers("curl", EXPIRED)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, REMOVE]
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]

    def test_silence_holds_for_no_answer_too(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.answers("curl", "", 6)
        alarmed.later(hours=7)
        alarmed.calls()
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]

    def test_silence_ends_when_it_gets_worse(self, phone: Phone) -> None:
        phone.answers("curl", EXPIRING)
        phone.do("job")
        shown = phone.calls()[-1]
        phone.tap(shown, "button3-action")
        phone.calls()
        phone.do("job")
        assert phone.calls() == [ASK_URL]
        phone.answers("curl", EXPIRED)
        phone.do("job")
        assert phone.calls() == [ASK_URL, expired(phone)]

    def test_silence_ends_when_all_is_well(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.answers("curl", "OK")
        alarmed.do("job")
        alarmed.answers("curl", EXPIRED)
        alarmed.calls()
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed)]

    def test_silence_does_not_outlive_a_clock_set_back(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.calls()
        alarmed.set_clock(NOW - 86_400)
        alarmed.do("job")
        assert [call[0] for call in alarmed.calls()] == ["curl", "termux-notification"]

    def test_the_page_opens(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button2-action")
        assert alarmed.calls() == [["termux-open-url", f"{URL}/"]]

    def test_re_authenticating_opens_a_session(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button1-action")
        assert alarmed.calls() == [session(alarmed)]
        # What the session runs:
        alarmed.answers("curl", "OK\n")
        assert alarmed.run(alarmed.programs / "reauth").returncode == 0
        assert alarmed.calls() == [REAUTH, ASK_URL, REMOVE, ["termux-toast", "OK"]]

    def test_where_no_session_can_be_opened_the_widget_is_named(self, alarmed: Phone) -> None:
        alarmed.answers("am", "Error: Not found; no service started.\n", 1)
        alarmed.tap(expired(alarmed), "button1-action")
        toast = ["termux-toast", "Tap the widget openclaw-auth to re-authenticate."]
        assert alarmed.calls() == [session(alarmed), toast]

    def test_re_authenticating_that_fails_leaves_the_session_open(self, alarmed: Phone) -> None:
        alarmed.answers("ssh", "", 255)
        assert alarmed.do("reauth").returncode == 255
        assert alarmed.calls() == [REAUTH, ASK_URL, expired(alarmed), ["termux-toast", EXPIRED]]

    # --- the widget ------------------------------------------------------------------------------------

    def widget(self, phone: Phone) -> str:
        done = phone.run(phone.home / ".shortcuts/openclaw-auth")
        assert done.returncode == 0, done.stderr
        return done.stdout

    DIALOG = (
        *("termux-dialog", "sheet", "-t", EXPIRED_TITLE),
        *("-v", "Re-authenticate,Open the page,Silence for 8 hours"),
    )

    def test_widget_toasts_and_asks_nothing_where_all_is_well(self, phone: Phone) -> None:
        assert self.widget(phone) == "OK\n"
        assert phone.calls() == [ASK_URL, ["termux-toast", "OK"]]

    @pytest.mark.parametrize(
        ("chosen", "then"),
        [
            ("Re-authenticate", [REAUTH, ASK_URL, "expired", ["termux-toast", EXPIRED]]),
            ("Open the page", [["termux-open-url", f"{URL}/"]]),
            ("Silence for 8 hours", [REMOVE, SILENT]),
            ("", []),
        ],
    )
    def test_widget_runs_the_chosen_action(self, phone: Phone, chosen: str, then: list[list[str] | str]) -> None:
        phone.answers("curl", EXPIRED)
        code, index = (0, 0) if chosen else (-2, -1)
        phone.answers("termux-dialog", f'{{\n  "code": {code},\n  "text": "{chosen}",\n  "index": {index}\n}}\n')
        assert self.widget(phone).splitlines()[0] == EXPIRED
        assert phone.calls() == [
            *(ASK_URL, expired(phone), ["termux-toast", EXPIRED], list(self.DIALOG)),
            *(expired(phone) if call == "expired" else call for call in then),
        ]

    def test_widget_shows_the_last_known_status(self, alarmed: Phone) -> None:
        alarmed.answers("curl", "<html>", 0)
        alarmed.later(hours=2)
        reason = "no status line in the answer (captive portal, wrong URL, noisy login shell?)"
        text = f"No answer: {reason}. Last known (2026-11-23 10:00): {EXPIRED}"
        assert self.widget(alarmed) == text + "\n"
        assert alarmed.calls() == [ASK_URL, ["termux-toast", text], list(self.DIALOG)]

    def test_widget_without_ssh_offers_no_session(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("curl", EXPIRED)
        phone.install(f"URL={URL}")
        phone.calls()
        self.widget(phone)
        assert phone.calls()[-1][-1] == "Open the page,Silence for 8 hours"
        done = phone.do("reauth")
        assert done.returncode == 78
        assert "openclaw-auth-exporter reauth" in done.stderr


class TestHere(ButtonSituations):
    pass
