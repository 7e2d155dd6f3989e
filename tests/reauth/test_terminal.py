"""The terminal: folding, programs that are given it, and the paste itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.reauth import terminal
from exporter.reauth.terminal import environment_of, fold
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.remedies import TOKEN_LENGTH
from reauth.typist import Typist


@given(st.text(max_size=60), st.integers(20, 80))
def test_folding_loses_no_word(text: str, columns: int) -> None:
    assert fold(text, columns).split() == text.split()


def test_configured_program_is_first_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("HOME", "/home/me")
    programs = Programs(Invocation(("~/oc/bin/openclaw",)))
    assert environment_of(programs, {"A": "b"})["PATH"] == "/home/me/oc/bin:/usr/bin"
    assert environment_of(programs, {"A": "b"})["A"] == "b"
    assert environment_of(Programs(), {})["PATH"] == "/usr/bin"
    assert environment_of(Programs(Invocation(("/oc/openclaw",), ssh="vps")), {})["PATH"] == "/usr/bin"


#: Made up, as long as a real one, and different everywhere.
TOKEN = "sk-ant-oat01-" + "".join(f"{n:03d}_" for n in range(23)) + "AA-"
SHELLS = [shell for shell in ("/bin/sh", "dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]


def wrapped(text: str, columns: int, end: str = "\r") -> str:
    """As it is copied from a terminal of so many columns."""
    return end.join(text[at : at + columns] for at in range(0, len(text), columns))


def pasted(tmp_path: Path, keys: str, answer: str = "", *, shell: str = "/bin/sh", is_token: bool = True) -> Any:
    """Exit code, what the command was given (None: it was not started) and what was on the screen."""
    taken = tmp_path / "taken"
    begins, length = ("sk-ant-oat01-", TOKEN_LENGTH) if is_token else ("", 1)
    words = [*shell.split(), "-c", terminal._PASTE, "paste", begins, str(length), f"cat > {taken}", "3"]
    with Typist(words, {"PATH": os.environ["PATH"]}) as person:
        person.seen = "continues by itself."
        person.paste(keys)
        if answer:
            person.until("[N] ")
            person.type(answer)
        code = person.wait()
    return (
        code,
        taken.read_bytes().decode() if taken.exists() else None,
        person.seen.removeprefix("continues by itself."),
    )


def test_made_up_token_has_the_length_of_a_real_one() -> None:
    assert len(TOKEN) == TOKEN_LENGTH


@pytest.mark.parametrize("shell", SHELLS)
def test_wrapped_token_arrives_whole(tmp_path: Path, shell: str) -> None:
    """However many lines it has, with or without Enter: and never on the screen."""
    code, taken, screen = pasted(tmp_path, wrapped(TOKEN, 40) + "\r", shell=shell)
    assert (code, taken) == (0, f"{TOKEN}\r")
    assert screen.split() == ["Passing", "it", "to", "OpenClaw", "..."]


@pytest.mark.parametrize(
    ("keys", "answer", "code", "said"),
    [
        (TOKEN[:80], "n\r", 65, "Only 80 of 108 characters arrived: it is cut off."),
        (TOKEN[:80], "\r", 65, "Only 80 of 108 characters arrived"),
        (TOKEN[:80], "y\r", 0, "Passing it"),
        (TOKEN[80:], "\r", 65, "It does not begin with sk-ant-oat01-"),
        ("\r", "", 65, "Nothing was pasted."),
        (f"Your token:\n{TOKEN} (1 year!)", "", 65, "This is more than a token or key"),
    ],
)
def test_incomplete_token_is_refused_before_it_is_stored(
    tmp_path: Path, keys: str, answer: str, code: int, said: str
) -> None:
    got, taken, screen = pasted(tmp_path, keys, answer)
    assert (got, taken) == (code, f"{keys}\r" if code == 0 else None)
    assert said in screen
    assert TOKEN[-20:] not in screen
    assert TOKEN[20:60] not in screen


def test_api_key_may_have_any_length(tmp_path: Path) -> None:
    assert pasted(tmp_path, "sk-1/+=.~:@%,_", is_token=False)[:2] == (0, "sk-1/+=.~:@%,_\r")


def test_ctrl_c_stores_nothing(tmp_path: Path) -> None:
    code, taken, _ = pasted(tmp_path, "\x03")
    assert code in (-2, 130)
    assert taken is None


PROGRAM = """
import os, sys
from exporter.model import StepAction, StepKind
from exporter.reauth import terminal
from exporter.reauth.plan import RenewalAction
terminal.PAUSE = 3
screen = terminal.Terminal()
def step(action, text):
    return RenewalAction(StepKind.COMMAND, action, text, "", is_token=True)
paste = lambda: screen.paste(step(StepAction.PASTE, "cat > %s"), os.environ)
print("interrupted", paste(), flush=True)
print("pasted", paste(), flush=True)
print("ran", screen.run(step(StepAction.RUN, "read line; echo ready; sleep 1; exit 3"), os.environ), flush=True)
print("answered", repr(screen.ask("Again?")), flush=True)
print("ended", repr(screen.ask("Again?")), flush=True)
"""


def test_terminal_is_restored_after_a_program_has_used_it(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm"}
    with Typist([sys.executable, "-c", PROGRAM % taken], env) as person:
        person.paste("\x03")
        person.until("interrupted")
        assert not taken.exists()
        person.paste(TOKEN)
        person.until("pasted 0")
        person.type("x\r")
        person.until("ready")
        person.type(f"{TOKEN[80:]}\r{TOKEN[80:]}\r")  # the rest of a paste, left in the terminal
        person.until("ran 3")
        person.answer("Again?", "YES")
        person.until("answered 'yes'")
        person.until("Again?")
        person.until("> ")
        person.type("\x04")
        person.until("ended 'n'")
        assert person.wait() == 0
    assert taken.read_bytes() == f"{TOKEN}\r".encode()
