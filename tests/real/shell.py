"""A person's shell: a line is typed on a terminal, and what its program asks is answered as a person would."""

from __future__ import annotations

import re
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass

from reauth.typist import Typist

from .desk import KEY, TOKEN

DOWN = "\x1b[B"
#: What a program asks, what a person answers, and whether the answer is a secret. The last match counts.
ANSWERS: tuple[tuple[str, str, bool], ...] = (
    (r"[Pp]aste (?:the )?(?:Anthropic )?(?:setup-)?token", f"{TOKEN}\r", True),
    (r"(?:Enter|Paste) [^\n]*API key", f"{KEY}\r", True),
    (r"MiniMax OAuth", "\r", False),
    (r"Re-run login\?", "y", False),
    # The wizard of 2026.2: on this host, with Anthropic, by API key, with the models as they are.
    (r"Where will the Gateway run\?", "\r", False),
    (r"Model/auth provider|Anthropic auth method", f"{DOWN}\r", False),
    (r"Models in /model picker", "\r", False),
)
#: A page that a person opens in a browser. No test has one; the stand-ins go on as if it was done.
_PAGE = re.compile(r"https://(?:claude|minimax)\.invalid|https://github\.com/login/device")
#: Colours and movements of the cursor.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()][0-9A-Za-z]?")
_PROMPT = re.compile(r"\[\[(\d+)\]\]> $")
#: Seconds of silence after which a program is waiting for something that nobody answers.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Typed:
    """One line that was typed. ``code`` is None if it asked what nobody could answer, and was interrupted."""

    line: str
    code: int | None
    screen: str
    asked_for_secret: bool

    @property
    def showed_page(self) -> bool:
        return bool(_PAGE.search(self.screen))

    def __str__(self) -> str:
        screen = self.screen.replace(TOKEN, "<TOKEN>").replace(KEY, "<KEY>")
        return f"$ {self.line}\n{screen[-1500:]}\n[exit code {self.code}]"


class Shell(Typist):
    """An interactive bash on a terminal of its own."""

    def __init__(self, env: Mapping[str, str]) -> None:
        argv = ["bash", "--norc", "--noprofile", "-i"]
        super().__init__(argv, {**env, "PS1": "[[$?]]> ", "HISTFILE": ""}, columns=200)
        self._until_prompt(30)

    def run(self, line: str, *, cancels: bool = False) -> Typed:
        """Type ``line``, answer its questions, and wait for the shell's prompt. ``cancels``: answer no secret."""
        began = len(self.seen)
        self.type(f"{line}\n")
        code, asked = self._until_prompt(900.0, began, cancels=cancels)
        return Typed(line, code, self._plain(began).removeprefix(line).strip(), asked)

    def _until_prompt(self, seconds: float, began: int = 0, *, cancels: bool = False) -> tuple[int | None, bool]:
        answered_to, asked_for_secret, interrupts = began, False, 0
        length, heard = len(self.seen), time.monotonic()
        ends = heard + seconds
        while True:
            is_alive = self._listen(0.3)
            if len(self.seen) > length:
                length, heard = len(self.seen), time.monotonic()
                continue
            if prompt := _PROMPT.search(self._plain(began)):
                return (None if interrupts else int(prompt[1])), asked_for_secret
            quiet = time.monotonic() - heard
            if quiet > 0.6 and self._reads_keys() and (answer := self._answer(answered_to)):
                keys, is_secret = answer
                self.type("\x03" if is_secret and cancels else keys)
                answered_to, heard = len(self.seen), time.monotonic()
                asked_for_secret |= is_secret
            elif not is_alive or interrupts > 2:
                return None, asked_for_secret
            elif quiet > PATIENCE or time.monotonic() > ends:
                self.type("\x03")
                interrupts += 1
                heard, ends = time.monotonic(), time.monotonic() + 10

    def _answer(self, since: int) -> tuple[str, bool] | None:
        shown = self._plain(since)
        found = []
        for question, keys, is_secret in ANSWERS:
            for hit in re.finditer(question, shown):
                before = shown[shown.rfind("\n", 0, hit.start()) + 1 : hit.start()]
                if "◇" not in before:  # which marks what has been answered
                    found.append((hit.end(), keys, is_secret))
        return max(found)[1:] if found else None

    def _reads_keys(self) -> bool:
        return not termios.tcgetattr(self._fd)[3] & termios.ICANON

    def _plain(self, since: int) -> str:
        return _ESCAPES.sub("", self.seen[since:])
