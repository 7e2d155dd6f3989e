"""Renewals that a page leads: the steps of ``reauth``, a token from the screen, limits, and no secret anywhere."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from reports import DAY, HOUR
from stand_ins import claude

from exporter.lib.known_secrets import KNOWN
from exporter.model.renewals import RenewalPhase, RenewalRefusedError, RenewalSubject, RenewalView
from exporter.reauth import page_screen, renewals
from exporter.reauth.renewals import Renewals
from reauth.conversation import World, disabled, key, login, token

SUBJECT = RenewalSubject("home", "main", "anthropic:default")
TOKEN = "sk-ant-oat01-" + "".join(f"{n:03d}_" for n in range(23)) + "AA-"
KEY = "sk-" + "PLANTED9SECRET_" * 4
ME, OTHER = "my session", "another session"


class Page:
    """A person who renews in a simulated world. Pastes are taken by ``given``; ``effects`` come with them."""

    def __init__(self, world: World, folder: Path, subject: RenewalSubject = SUBJECT) -> None:
        self.world, self.subject = world, subject
        self.given: list[tuple[str, bytes]] = []
        self.effects: list[tuple[int, Callable[[], None]]] = []
        self.now = 0.0
        self.views: list[RenewalView] = []
        self.programs = folder / "bin"
        self.programs.mkdir()
        (folder / "token").write_text(TOKEN)
        self.program("claude", f'exec {sys.executable} {claude.__file__} {folder}/token "$@"')
        self.renewals = Renewals(
            lambda: world.config,
            lambda: world.check(None),
            world.check,
            lambda name: world.built,
            self.pipe,
            lambda: self.now,
            lambda name: str(self.programs / name),
        )
        self.id = ""

    def program(self, name: str, body: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.programs / name).chmod(0o755)

    def pipe(self, argv: Sequence[str], environment: Mapping[str, str], secret: bytes) -> tuple[int, str]:
        self.given.append((argv[-1], secret))
        code, effect = self.effects.pop(0) if self.effects else (0, lambda: None)
        effect()
        return code, f"stored {secret.decode()}"

    def start(self, owner: str = ME) -> None:
        self.id = self.renewals.start(self.subject, owner, "192.0.2.7")

    @property
    def view(self) -> RenewalView:
        found = self.renewals.view(self.id, ME)
        assert found is not None
        self.views.append(found)
        return found

    def until(self, fact: Callable[[RenewalView], object]) -> RenewalView:
        ends = time.monotonic() + 30
        while not fact(view := self.view):
            assert time.monotonic() < ends, view
            time.sleep(0.01)
        return view

    def enter(self, kind: str, value: str = "") -> None:
        self.renewals.enter(self.id, ME, kind, value)

    def ended(self) -> RenewalView:
        view = self.until(lambda view: view.phase is RenewalPhase.ENDED)
        thread = self.renewals._renewals[self.id].thread
        assert thread is not None
        thread.result(10)
        return view


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Programs are found in the test's folder, and settle sooner than real ones."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    for name, seconds in (("SETTLED", 0.05), ("ASKED", 0.2)):
        monkeypatch.setattr(page_screen, name, seconds)
    yield
    KNOWN.clear()
    for thread in threading.enumerate():
        if thread.name == "renewal":
            thread.join(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "renewal"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, before anything is redacted."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def expired(tmp_path: Path) -> Page:
    page = Page(World(token()), tmp_path)
    page.effects = [(0, page.world.renewed())]
    return page


def asks_code(view: RenewalView) -> bool:
    return view.asks_code


def test_a_token_goes_from_the_screen_to_openclaw_s_standard_input(tmp_path: Path, log: io.StringIO) -> None:
    """A wrong code first. The secret is in no view and no log; each step is in the log."""
    page = expired(tmp_path)
    page.start()
    view = page.until(asks_code)
    assert view.links == (claude.LINK,)
    assert view.step == "Step 1 of 2: make a new token"
    page.enter("text", "wrong#code")
    assert "OAuth error: Invalid code." in page.until(lambda view: view.asks_code and view.problem).problem
    page.enter("text", claude.RIGHT)
    view = page.ended()
    assert view.succeeded
    assert "anthropic:default on home/main works until 2027-11-22T10:00:00Z, in 365 days." in view.sentences
    where = "--provider anthropic --profile-id anthropic:default"
    paste = f"openclaw models auth paste-token {where} --expires-in 365d --agent main"
    assert page.given == [(paste, f"{TOKEN}\r".encode())]
    for text in (repr(page.views), log.getvalue(), repr(page.renewals._renewals)):
        assert not any(part in text for part in (TOKEN[13:30], TOKEN[-20:], claude.RIGHT, "wrong#code"))
    assert TOKEN not in KNOWN.redact(f"whatever quotes {TOKEN} from now on")
    for step in ("started by a signed-in browser at 192.0.2.7", "runs claude setup-token", "a sign-in link is shown"):
        assert f"of anthropic:default on home/main: {step}" in log.getvalue()
    for step in (
        "a code was entered",
        "a token was read",
        "gives the secret to openclaw models auth",
        "ended: nothing",
    ):
        assert step in log.getvalue()


def test_a_code_that_waits_for_its_answer_is_said_to_be_sent(tmp_path: Path) -> None:
    page, answered = expired(tmp_path), tmp_path / "answered"
    wait = f"while [ ! -e {answered} ]; do sleep 0.05; done"
    page.program("claude", f"echo https://x.example; printf 'Code: '; read -r code; {wait}; cat {tmp_path}/token")
    page.start()
    assert page.until(asks_code).status == ""
    page.enter("text", claude.RIGHT)
    view = page.until(lambda view: view.status.startswith("The code was sent."))
    assert (view.phase, view.asks_code) == (RenewalPhase.TERMINAL, False)
    answered.touch()
    assert page.ended().succeeded


def test_a_half_code_can_be_entered_again(tmp_path: Path) -> None:
    page = expired(tmp_path)
    page.start()
    page.until(asks_code)
    page.enter("text", "wrong")
    assert "Copy all of it" in page.until(lambda view: view.asks_code and view.problem).problem
    page.enter("text", claude.RIGHT)
    assert page.ended().succeeded


def test_a_pasted_key_goes_to_standard_input_only(tmp_path: Path, log: io.StringIO) -> None:
    page = Page(World(key(unusable=disabled("auth_permanent"))), tmp_path, RenewalSubject("home", "main", "openai:key"))
    removed = tmp_path / "removed"
    page.program("openclaw", f'echo "$*" >>{removed}')
    page.effects = [(0, lambda: page.world.change("openai:key", secret_hash="new", unusable=None, status="static"))]
    page.start()
    page.until(lambda view: view.phase is RenewalPhase.SECRET)
    assert not removed.exists()  # nothing is removed before the new secret is here
    page.enter("secret", "no key: really!")
    assert "more than a token or key" in page.until(lambda view: view.problem).problem
    page.enter("secret", KEY)
    view = page.ended()
    assert view.succeeded
    assert removed.read_text() == "models auth logout openai:key --yes --agent main\n"
    assert [secret for _, secret in page.given] == [f"{KEY}\r".encode()]
    assert "PLANTED9" not in repr(page.views) + log.getvalue() + page.given[0][0]


def test_a_token_that_is_cut_off_is_stored_only_on_demand(tmp_path: Path) -> None:
    page = expired(tmp_path)
    page.program("claude", "exit 1")
    page.start()
    page.until(lambda view: view.phase is RenewalPhase.QUESTION)
    page.enter("answer", "skip")
    page.until(lambda view: view.phase is RenewalPhase.SECRET)
    page.enter("secret", TOKEN[:80])
    view = page.until(lambda view: view.phase is RenewalPhase.QUESTION)
    assert view.question == "Only 80 of 108 characters arrived: it is cut off. Store it anyway?"
    page.enter("answer", "skip")
    page.until(lambda view: view.phase is RenewalPhase.SECRET)
    assert page.given == []
    page.enter("secret", TOKEN[:80])
    page.until(lambda view: view.phase is RenewalPhase.QUESTION)
    page.enter("answer", "yes")
    page.ended()
    assert [secret for _, secret in page.given] == [f"{TOKEN[:80]}\r".encode()]


def test_a_prompt_that_ends_a_disable_by_asking_is_answered_by_ctrl_c(tmp_path: Path) -> None:
    """On 2026.6 the prompt of ``models auth login`` ends the disable. The dated paste follows."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    page = Page(world, tmp_path)
    prompt = tmp_path / "prompt"
    page.program(
        "openclaw",
        f"stty -icanon; trap 'echo interrupted >>{prompt}; exit 130' INT; echo \"$*\" >>{prompt}\n"
        "echo '◆  Paste Anthropic setup-token'; while :; do sleep 0.1; done",
    )
    page.effects = [(0, page.world.renewed(unusable=None))]
    page.start()
    page.until(asks_code)
    page.enter("text", claude.RIGHT)
    assert page.ended().succeeded
    assert prompt.read_text().split("\n")[0].startswith("models auth login --provider anthropic --method setup-token")
    assert "interrupted" in prompt.read_text()
    assert len(page.given) == 1


def test_a_login_shows_its_link_and_device_code_and_takes_keys(tmp_path: Path) -> None:
    page = Page(
        World(login("github-copilot:github")), tmp_path, RenewalSubject("home", "main", "github-copilot:github")
    )
    done = tmp_path / "done"
    page.program(
        "openclaw",
        f'echo "$3" >>{done}; [ $3 = logout ] && exit\n'
        f"echo 'Visit https://github.com/login/device'; echo 'Code: ABCD-1234'; read -r line; echo \"$line\" >>{done}",
    )
    page.start()
    view = page.until(lambda view: view.phase is RenewalPhase.QUESTION)
    assert "removes the old credential" in view.question
    assert not done.exists()
    page.enter("answer", "yes")
    view = page.until(lambda view: view.device_code)
    assert view.links == ("https://github.com/login/device",)
    assert view.device_code == "ABCD-1234"
    assert view.lines == ("Visit https://github.com/login/device", "Code: ABCD-1234")
    page.world.change("github-copilot:github", status="ok", expires_at=page.world.check(None).checked_at + DAY)
    page.enter("text", "yes")
    page.ended()
    assert done.read_text().split() == ["logout", "login-github-copilot", "yes"]


@pytest.mark.parametrize("at", ["link", "secret", "question"])
def test_every_step_can_be_cancelled_and_nothing_is_stored(tmp_path: Path, at: str, log: io.StringIO) -> None:
    page = Page(World(key() if at == "secret" else token()), tmp_path)
    if at == "secret":
        page.subject = RenewalSubject("home", "main", "openai:key")
    elif at == "question":
        page.program("claude", "exit 1")
    page.start()
    expected = {"link": RenewalPhase.TERMINAL, "secret": RenewalPhase.SECRET, "question": RenewalPhase.QUESTION}[at]
    view = page.until(lambda view: view.phase is expected)
    assert view.can_cancel
    page.enter("cancel")
    view = page.ended()
    assert (view.succeeded, page.given) == (False, [])
    assert "Cancelled." in view.sentences
    assert "ended: Cancelled." in log.getvalue()


def test_what_changes_something_cannot_be_cut_in_half(tmp_path: Path) -> None:
    """Between the removal of the old secret and the new one, a cancellation has no effect."""
    page = Page(World(key(unusable=disabled("auth_permanent"))), tmp_path, RenewalSubject("home", "main", "openai:key"))
    go = tmp_path / "go"
    page.program("openclaw", f"while ! test -e {go}; do sleep 0.02; done")
    page.start()
    page.until(lambda view: view.phase is RenewalPhase.SECRET)
    page.enter("secret", KEY)
    page.until(lambda view: view.command.endswith("--yes --agent main") and not view.can_cancel)
    page.enter("cancel")
    go.touch()
    page.ended()
    assert len(page.given) == 1


def test_a_person_who_leaves_ends_it_by_a_time_out(tmp_path: Path) -> None:
    page = expired(tmp_path)
    page.start()
    page.until(asks_code)
    page.now += page_screen.PATIENCE + 1
    view = page.ended()
    assert "It took too long, so it was ended." in view.sentences
    assert page.given == []
    page.now += renewals.KEPT + 1
    page.renewals._forget_old_ones()
    assert page.renewals.view(page.id, ME) is None


def test_too_many_codes_end_it_and_keep_the_credential_closed_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "CODES", 1)
    page = expired(tmp_path)
    page.start()
    for number in range(2):
        page.until(asks_code)
        page.enter("text", f"wrong#{number}")
        page.until(lambda view: not view.asks_code)
    assert "Too many codes were entered." in page.ended().sentences
    with pytest.raises(RenewalRefusedError) as refused:
        page.start()
    assert refused.value.retry_after == renewals.WINDOW + 1
    page.now += renewals.WINDOW + 1
    page.start()
    page.until(asks_code)
    page.enter("text", claude.RIGHT)
    assert page.ended().succeeded
    assert page.renewals._codes == {}


def test_one_at_a_time_for_a_profile_and_only_for_its_browser(tmp_path: Path) -> None:
    page = expired(tmp_path)
    page.start()
    first = page.id
    page.until(asks_code)
    page.start()
    assert page.id == first
    with pytest.raises(RenewalRefusedError, match="Another browser"):
        page.renewals.start(SUBJECT, OTHER, "192.0.2.8")
    assert page.renewals.view(first, OTHER) is None
    page.renewals.enter(first, OTHER, "cancel", "")
    page.renewals.end(OTHER, "You have signed out.")
    assert page.view.phase is RenewalPhase.TERMINAL
    page.renewals.end(ME, "You have signed out.")
    assert "You have signed out." in page.ended().sentences


def test_unknown_credentials_and_those_of_another_host_cannot_be_renewed(tmp_path: Path) -> None:
    page = expired(tmp_path)
    for subject in (RenewalSubject("home", "main", "no:such"), RenewalSubject("", "", "")):
        with pytest.raises(KeyError):
            page.renewals.start(subject, ME, "")
    world = World(token(), source="gateway", url="http://gateway.example")
    elsewhere = Renewals(
        lambda: world.config, lambda: world.check(None), world.check, lambda name: world.built, page.pipe
    )
    preview = elsewhere.preview(SUBJECT)
    assert preview.obstacle
    with pytest.raises(RenewalRefusedError):
        elsewhere.start(SUBJECT, ME, "")


def test_the_preview_names_the_steps_and_changes_nothing(tmp_path: Path) -> None:
    preview = expired(tmp_path).renewals.preview(SUBJECT)
    assert "expired" in preview.problem
    titles = [(title, is_command) for title, _, is_command in preview.steps]
    assert titles == [("make a new token", True), ("give it to OpenClaw", True)]


def test_a_step_that_cannot_run_here_is_advice_in_the_preview(tmp_path: Path) -> None:
    world = World(token())
    without = Renewals(
        lambda: world.config,
        lambda: world.check(None),
        world.check,
        lambda name: world.built,
        Page(world, tmp_path).pipe,
        which=lambda name: None,
    )
    (_, text, is_command), *_ = without.preview(SUBJECT).steps
    assert (text.startswith("There is no `claude` here."), is_command) == (True, False)


async def test_the_end_of_the_exporter_ends_the_programs(tmp_path: Path) -> None:
    page = expired(tmp_path)
    page.start()
    page.until(asks_code)
    await page.renewals.stop()
    page.ended()
    assert "The exporter stops." in page.view.sentences


def test_a_bug_of_ours_is_a_sentence_without_its_text(tmp_path: Path, log: io.StringIO) -> None:
    page = expired(tmp_path)

    def fails() -> None:
        raise RuntimeError(f"PLANTED {TOKEN}")

    page.effects = [(0, fails)]
    page.start()
    page.until(asks_code)
    page.enter("text", claude.RIGHT)
    view = page.ended()
    assert view.sentences[-1] == "Internal error while renewing a credential (RuntimeError). Please report it."
    assert "PLANTED" not in log.getvalue()


def test_a_failed_paste_can_be_tried_again_with_the_same_token(tmp_path: Path) -> None:
    page = Page(World(token(ends=-HOUR)), tmp_path)
    page.effects = [(1, lambda: None), (0, page.world.renewed())]
    page.start()
    page.until(asks_code)
    page.enter("text", claude.RIGHT)
    view = page.until(lambda view: view.phase is RenewalPhase.QUESTION)
    assert "The command failed (exit code 1)." in view.sentences
    assert not any(TOKEN[20:40] in sentence for sentence in view.sentences)
    page.enter("answer", "yes")
    assert page.ended().succeeded
    assert len({secret for _, secret in page.given}) == 1


#: ``ssh`` to a host that is this one: with -t it needs a terminal, and it joins its arguments for the shell there.
SSH = """tty=
while :; do case $1 in -t) tty=1; shift;; -o) shift 2;; *) break;; esac; done
[ "$1" = box ] || exit 255
shift
[ -z "$tty" ] || { [ -t 0 ] && [ -t 1 ]; } || exit 254
exec /bin/sh -c "$*"
"""


def test_over_ssh_programs_that_ask_get_a_terminal_there(tmp_path: Path) -> None:
    """Without Claude Code here, ``claude setup-token`` runs on the target's host."""
    page = Page(World(token(), ssh="box"), tmp_path)
    page.program("ssh", SSH)
    page.renewals._which = lambda name: None
    page.effects = [(0, page.world.renewed())]
    page.start()
    view = page.until(asks_code)
    assert view.command == "ssh -t box claude setup-token"
    page.enter("text", claude.RIGHT)
    assert page.ended().succeeded
    ((paste, secret),) = page.given
    assert paste.startswith("ssh box openclaw models auth paste-token")
    assert secret == f"{TOKEN}\r".encode()
