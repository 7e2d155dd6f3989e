"""``init``: the configuration that it writes and keeps, its questions, and its undo commands."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.delivery import one_shot
from exporter.config import Config, Web, default_config_file, load
from exporter.config.reading import parse
from exporter.setup import homes, init

from .init_home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(tmp_path / "a home", monkeypatch, capsys)


# --- the configuration -----------------------------------------------------------------------


@pytest.mark.parametrize("env_file", [None, "~/.openclaw/.env"])
@pytest.mark.parametrize("topic_file", [None, Path('/home/a "quoted" \\ one/ntfy-topic')])
def test_the_starting_configuration_is_valid(env_file: str | None, topic_file: Path | None) -> None:
    made = parse(init.starting_config(env_file, topic_file))
    (target,) = made.targets
    assert (target.name, target.source, getattr(target, "env_file", None)) == ("local", "auto", env_file)
    assert [getattr(channel, "topic_file", None) for channel in made.channels] == (
        [str(topic_file)] if topic_file else []
    )


def test_every_commented_example_is_valid() -> None:
    """No example is out of date: the file stays valid with each of them."""
    text = init.starting_config(None, None)
    examples = re.findall(r'^( *)// (\{ name: .*|"anthropic.*|\w+: .*,)$', text, re.MULTILINE)
    assert len(examples) == 12
    for indent, example in examples:
        made = text.replace(f"{indent}// {example}", indent + example)
        assert made != text
        assert parse(made) is not None


def test_the_commented_defaults_are_the_defaults() -> None:
    text = init.starting_config(None, None)
    with_them = re.sub(r"^( *)// ((interval|expiring_within|alerts|web): )", r"\1\2", text, flags=re.MULTILINE)
    assert with_them.count("//") == text.count("//") - 4
    assert parse(with_them) == parse(text)


def test_the_file_is_readable_by_its_owner_only_and_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    done = home()
    assert done.returncode == 0, done.stderr
    assert home.files() == {".config/openclaw-auth-exporter/config.json5"}
    assert home.config.stat().st_mode & 0o777 == 0o600
    assert home.config.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("HOME", str(home.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("OPENCLAW_AUTH_EXPORTER_CONFIG", raising=False)
    assert default_config_file() == home.config
    assert load(home.config).targets[0].name == "local"
    home.undo(done.stdout)
    assert home.files() == set()


def test_further_homes_are_proposed_and_not_checked_unasked(home: Home, tmp_path: Path) -> None:
    """A named home, and as root those of another user; not what only looks like one."""
    alice = tmp_path / "alice"
    for folder in (home.home / ".openclaw-work", alice / ".openclaw", alice / ".openclaw-lab", alice / ".openclaw.bak"):
        (folder / "agents").mkdir(parents=True)
    for folder in (home.home / ".openclaw-old", tmp_path / "bob/.openclaw"):
        folder.mkdir(parents=True)
    home.users = [("alice", alice), ("bob", tmp_path / "bob")]
    done = home()
    assert f"OpenClaw is also in {alice}/.openclaw: target alice, `runuser -u alice -- env HOME={alice} openclaw`" in (
        done.stdout
    )
    assert done.stdout.count("OpenClaw is also in ") == 3
    assert f"To check these homes too, remove the // before their targets in {home.config}." in done.stdout
    assert [target.name for target in load(home.config).targets] == ["local"]
    home.config.write_text(home.config.read_text().replace("// { name", "{ name", 3))
    commands = {target.name: getattr(target, "command", None) for target in load(home.config).targets}
    as_alice = ["runuser", "-u", "alice", "--", "env", f"HOME={alice}", "openclaw"]
    assert commands == {
        "local": None,
        "work": ["openclaw", "--profile", "work"],
        "alice": as_alice,
        "alice-lab": [*as_alice, "--profile", "lab"],
    }


@pytest.mark.parametrize(("answer", "names"), [(b"\n\n", ["local", "work"]), (b"n\n\n", ["local"])])
def test_a_user_at_a_terminal_is_asked_for_further_homes(home: Home, answer: bytes, names: list[str]) -> None:
    (home.home / ".openclaw-work").mkdir()
    (home.home / ".openclaw-work/openclaw.json").write_text("{}")
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = home(stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert "Check these too?" in done.stdout
    assert [target.name for target in load(home.config).targets] == names


def test_a_program_that_only_its_user_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".npm-global/bin/openclaw"
    for folder in (tmp_path / ".openclaw/agents", program.parent):
        folder.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (found,) = homes.find_homes(tmp_path / "root", [("alice", tmp_path)])
    assert found.command[-2:] == (f"PATH={program.parent}:/usr/local/bin:/usr/bin:/bin", "openclaw")


def test_only_root_looks_into_the_homes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert homes.other_users() == []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = dict(homes.other_users())
    assert Path(os.path.expanduser("~")) not in found.values()
    assert Path("/") not in found.values()


def test_an_existing_env_file_of_openclaw_is_named(home: Home) -> None:
    (home.home / ".openclaw").mkdir()
    (home.home / ".openclaw/.env").write_text("ANTHROPIC_API_KEY=PLANTED-SECRET-1\n")
    done = home()
    assert '{ name: "local", source: "auto", env_file: "~/.openclaw/.env" },' in home.config.read_text()
    assert "PLANTED-SECRET" not in home.config.read_text() + done.stdout + done.stderr


def test_an_existing_file_is_not_overwritten(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("mine")
    done = home()
    assert done.returncode == 73
    assert done.stderr == (
        f"Error: {home.config} already exists and was not changed; "
        "--force replaces it and keeps the old file beside it\n"
    )
    assert home.config.read_text() == "mine"


def test_a_dangling_link_counts_as_an_existing_file(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.symlink_to("gone")
    assert home().returncode == 73
    assert home.config.is_symlink()


def test_force_keeps_the_old_file_and_undo_restores_it(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("mine")
    done = home("--force")
    assert done.returncode == 0, done.stderr
    assert load(home.config)
    (kept,) = home.config.parent.glob("config.json5.before-*")
    assert kept.read_text() == "mine"
    home.undo(done.stdout)
    assert home.files() == {".config/openclaw-auth-exporter/config.json5"}
    assert home.config.read_text() == "mine"


def test_the_path_of_the_configuration() -> None:
    assert init.config_path({"OPENCLAW_AUTH_EXPORTER_CONFIG": "/etc/x.json5"}) == Path("/etc/x.json5")
    assert init.config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/openclaw-auth-exporter/config.json5")
    assert init.config_path({}) == Path.home() / ".config/openclaw-auth-exporter/config.json5"


def test_a_directory_that_cannot_be_created_is_an_error_sentence(home: Home) -> None:
    (home.home / ".config").write_text("")
    done = home()
    assert done.returncode == 73
    assert done.stderr == f"Error: {home.config.parent}: Not a directory\n"


@pytest.mark.parametrize(("answer", "wants"), [(b"y\nn\n", True), (b"\n", False)])
def test_a_user_at_a_terminal_is_asked_for_a_phone(home: Home, answer: bytes, wants: bool) -> None:
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, answer)
        done = home(stdin=its_end)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("?") == 1 + 2 * wants
    topic_file = home.config.parent / "ntfy-topic"
    assert topic_file.exists() == wants
    made = load(home.config)
    assert len(made.channels) == wants
    if wants:
        topic = topic_file.read_text().strip()
        assert re.fullmatch(r"openclaw-[-_A-Za-z0-9]{24}", topic)
        assert made.channels[0].read_secret("topic") == topic
        assert f"subscribe to the topic {topic}\n" in done.stdout
        assert f"https://ntfy.sh/{topic} " in done.stdout
        assert "To test it later: `openclaw-auth-exporter notify test`." in done.stdout
        assert topic_file.stat().st_mode & 0o777 == 0o600
    home.undo(done.stdout)
    assert home.files() == set()


@pytest.mark.parametrize(
    ("problem", "was_pressed", "said"),
    [
        (None, True, "phone: the phone has answered."),
        (None, False, "phone: no answer. If the phone stayed silent, check the topic."),
        ("HTTP 500", False, "phone: FAILED: HTTP 500. Try again: `openclaw-auth-exporter notify test`."),
        (KeyboardInterrupt(), False, "To test it later: `openclaw-auth-exporter notify test`."),
    ],
)
def test_a_phone_that_has_subscribed_is_rung_until_it_answers(
    home: Home, monkeypatch: pytest.MonkeyPatch, problem: str | BaseException | None, was_pressed: bool, said: str
) -> None:
    async def ring(config: Config, name: str, now: float, rung: Callable[[], None]) -> tuple[str | None, bool]:
        if problem is None:
            rung()
        if isinstance(problem, BaseException):
            raise problem
        return problem, was_pressed

    monkeypatch.setattr(one_shot, "ring", ring)
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, b"y\ny\n")
        done = home(stdin=its_end)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr
    assert ("Press 'I see it' in the notification" in done.stdout) == (problem is None)
    home.undo(done.stdout)
    assert home.files() == set()


def test_the_code_for_the_camera_is_square_and_without_escapes() -> None:
    lines = init.qr_code(init.topic_link("openclaw-abc")).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert 2 * len(lines) - len(lines[0]) in (0, 1)
    assert set("".join(lines)) <= set("█▀▄ ")


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ({}, "http://127.0.0.1:10785/"),
        ({"listen": "0.0.0.0:80"}, "http://127.0.0.1:80/"),
        ({"listen": "[::1]:81"}, "http://[::1]:81/"),
        ({"listen": "rack7:82", "tls": {"cert_file": "c", "key_file": "k"}}, "https://rack7:82/"),
        ({"external_url": "https://status.example"}, "https://status.example"),
    ],
)
def test_the_address_of_the_page(web: dict[str, Any], address: str) -> None:
    assert init.page_address(Web.model_validate(web)) == address


def test_an_existing_topic_is_kept(tmp_path: Path) -> None:
    first = init.write_topic(tmp_path / "x/ntfy-topic")
    assert init.write_topic(tmp_path / "x/ntfy-topic") == first
    assert init.write_topic(tmp_path / "y/ntfy-topic") != first
