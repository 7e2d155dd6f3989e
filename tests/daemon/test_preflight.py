"""A configuration that cannot be used on this host is refused the same by every command that would use it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from faults.servers import BadServer
from stores import another_user

from exporter.config import Config, ConfigError
from exporter.daemon import preflight

HOOK = "https://hooks.example/aB3dE6gH9jK2mN5p"

#: Parts of a configuration that no command may accept, and the sentence about each.
UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"channels": [{"name": "a", "type": "webhook", "url_file": "/nowhere/url"}]}, "channel a: /nowhere/url: No such"),
    ({"channels": [{"name": "a", "type": "webhook", "url_env": "NOT_SET"}]}, "channel a: the environment variable NOT"),
    ({"channels": [{"name": "a", "type": "webhook", "url": "hooks.example/x"}]}, "channel a: url is not valid"),
    ({"channels": [{"name": "a", "type": "webhook", "url": HOOK, "secret_file": "/nowhere/s"}]}, "channel a: /nowhere"),
    ({"channels": [{"name": "a", "type": "ntfy", "topic": "my topic"}]}, "channel a: topic can only contain"),
    ({"channels": [{"name": "a", "type": "ntfy", "topic": "t", "url": "https://ntfy.sh/t"}]}, "channel a: url must be"),
    ({"channels": [{"name": "a", "type": "ntfy", "topic": "t", "token_file": "/nowhere"}]}, "channel a: /nowhere: No"),
    ({"channels": [{"name": "a", "type": "apprise", "url": "nothing://x"}]}, "channel a: apprise does not know"),
    ({"channels": [{"name": "a", "type": "alertmanager", "urls": ["am:9093"]}]}, "channel a: urls: number 1"),
    ({"heartbeat": {"url": "hc-ping.example/x"}}, "heartbeat.url: is not valid"),
    ({"web": {"tls": {"cert_file": "/nowhere/c", "key_file": "/nowhere/k"}}}, "web.tls: /nowhere/c cannot be read"),
    ({"web": {"users_file": "/nowhere/users"}}, "/nowhere/users: cannot be read"),
    ({"web": {"listen": "192.0.2.1:10785"}}, "web.listen: cannot listen on 192.0.2.1:10785: this machine does not"),
]


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def made(part: Mapping[str, Any]) -> Config:
    return Config.model_validate({"web": {"listen": "127.0.0.1:0"}, **part})


@pytest.mark.parametrize(("part", "sentence"), UNUSABLE)
def test_what_cannot_be_used_is_refused(part: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preflight.require_usable(made(part))
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(sentence)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:not-a-hash\n")
    broken = [
        {"name": "a", "type": "ntfy", "topic": "my topic"},
        {"name": "b", "type": "webhook", "url_env": "NOT_SET"},
        {"name": "c", "type": "webhook", "url": HOOK},
    ]
    with pytest.raises(ConfigError) as caught:
        preflight.require_usable(made({"channels": broken, "web": {"listen": "127.0.0.1:0", "users_file": str(users)}}))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["channel a", "channel b", str(users)]


def test_address_that_another_program_uses_is_no_mistake() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        preflight.require_usable(made({"web": {"listen": f"127.0.0.1:{other.getsockname()[1]}"}}))


def test_what_would_not_work_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = made(
        {
            "targets": [{"name": "rack7", "source": "gateway", "token_file": "/nowhere/token"}],
            "heartbeat": {"url_file": "/nowhere/url"},
            "state_dir": str(tmp_path / "file" / "state"),
        }
    )
    preflight.require_usable(config)
    assert [warning.partition(":")[0] for warning in preflight.warnings(config)] == [
        "targets[0].token_file",
        "heartbeat.url_file",
        "state_dir",
    ]
    assert preflight.warnings(made({"state_dir": str(tmp_path / "new" / "state")})) == []


def test_unreadable_secret_of_a_channel_is_refused_and_no_warning_besides(tmp_path: Path) -> None:
    channel = {"name": "a", "type": "webhook", "url_file": "/nowhere/url"}
    assert preflight.warnings(made({"channels": [channel], "state_dir": str(tmp_path)})) == []


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_state_where_this_user_may_not_look_or_write_is_a_warning(tmp_path: Path, mode: int) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    config = made({"state_dir": str(locked / "state")})
    locked.chmod(mode)
    try:
        with another_user():
            [warning] = preflight.warnings(config)
    finally:
        locked.chmod(0o700)
    assert warning.startswith(f"state_dir: {locked}/state cannot be used: this user may not write there; everything")


@pytest.mark.parametrize(
    ("chat", "url"),
    [
        ("Slack", "https://hooks.slack.com/services/T0/B0/aB3dE6gH9jK2mN5p"),
        ("Slack", "http://127.0.0.1:1/slack/T000/B000/XXX"),
        ("Discord", "https://discord.com/api/webhooks/123456789/aB3dE6gH9jK2mN5p"),
        ("Discord", "https://discordapp.com/api/webhooks/123456789/aB3dE6gH9jK2mN5p"),
        ("Microsoft Teams", "https://team.webhook.office.com/webhookb2/x"),
        ("Google Chat", "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=x&token=y"),
        ("Telegram", "https://api.telegram.org/bot123456:AAE/sendMessage"),
    ],
)
def test_webhook_to_a_chat_is_a_warning_that_names_the_channel_that_works(chat: str, url: str) -> None:
    [warning] = preflight.warnings(made({"channels": [{"name": "team", "type": "webhook", "url": url}]}))
    assert warning.startswith(f"channel team: {chat} does not accept")
    assert '"apprise"' in warning


def test_commands_refuse_the_same(cli: CommandLine) -> None:
    cli.add(channels=[{"name": "a", "type": "ntfy", "topic": "my topic"}], web={"listen": "127.0.0.1:0"})
    for command in (["config", "check"], ["serve"], ["notify", "test"], ["check", "--notify"]):
        refused = cli(*command)
        assert (refused.returncode, "topic can only contain" in refused.stderr) == (78, True), command


def test_notify_test_warns_and_shows_the_reason_of_the_service(cli: CommandLine) -> None:
    def no_text(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nno_text")

    with BadServer({"slack/T000/B000/XXX": no_text}) as slack:
        cli.add(channels=[{"name": "team", "type": "webhook", "url": f"{slack.url}/slack/T000/B000/XXX"}])
        tested = cli("notify", "test")
        assert tested.returncode == 75
        assert "warning: channel team: Slack does not accept" in tested.stderr
        assert "400: bad request (the server says: no_text); Slack does not accept" in tested.stdout
        assert "B000" not in tested.stdout + tested.stderr
        checked = cli("config", "check")
        assert checked.returncode == 0
        assert "warning: channel team: Slack does not accept" in checked.stderr


def test_invalid_external_url_is_refused(cli: CommandLine) -> None:
    for url in ("rack7.example", "http://[bad", "ftp://x"):
        cli.config.write_text(json.dumps({"web": {"external_url": url}}))
        assert "web.external_url: write the address of the page" in cli("config", "check").stderr


@pytest.mark.parametrize(("mode", "is_shared"), [(0o700, False), (0o755, False), (0o770, True), (0o1777, True)])
def test_state_that_others_may_replace_is_a_warning(tmp_path: Path, mode: int, is_shared: bool) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(mode)
    found = preflight.warnings(made({"state_dir": str(directory)}))
    sentence = f"state_dir: others may write to {directory} and replace the state: run chmod go-w {directory}"
    assert found == ([sentence] if is_shared else [])
