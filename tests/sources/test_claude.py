"""The claude source against recorded answers of Claude Code 2.1.330, printed by a stand-in."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from captured import capture, scenarios, verdict
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ClaudeTarget
from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile
from exporter.sources import SourceContext
from exporter.sources.claude import AGENT, LOGIN, ClaudeSource, StoredLogin, stored_login

RELEASE = "claude-2.1.330"
SECRETS = {
    "CLAUDE_CODE_OAUTH_TOKEN": "PLANTED-SECRET-setup-token",
    "ANTHROPIC_API_KEY": "PLANTED-SECRET-api-key",
    "ANTHROPIC_AUTH_TOKEN": "PLANTED-SECRET-auth-token",
}


class World:
    """A home with a credentials file and a ``claude`` that prints what a test sets."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.config = self.home / ".claude"
        self.config.mkdir(parents=True)
        self.bin.mkdir()
        self.now = 1_795_344_000.0
        self.environ = {"HOME": str(self.home), "PATH": f"{self.bin}:{os.defpath}"}

    def claude(self, stdout: str, exit_code: int = 0, stderr: str = "") -> None:
        (self.bin / "stdout").write_text(stdout)
        (self.bin / "stderr").write_text(stderr)
        script = self.bin / "claude"
        script.write_text(
            "#!/bin/sh\n"
            '[ "$*" = "auth status --json" ] || exit 64\n'
            f"cat {self.bin}/stdout; cat {self.bin}/stderr >&2; exit {exit_code}\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def credentials(self, content: object) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.config / ".credentials.json").write_text(text)

    def replay(self, scenario: str) -> None:
        data = capture(RELEASE, scenario)
        self.now = data["now_ms"] / 1000
        self.claude(data["stdout"], data["exit_code"], data["stderr"])
        if data["credentials_file"] is not None:
            self.credentials(data["credentials_file"])
        self.environ.update({name: SECRETS[name] for name in data["env"]})

    def source(self, **config: Any) -> ClaudeSource:
        target = ClaudeTarget(**{"source": "claude", "name": "laptop", "timeout": "20s", **config})
        context = SourceContext(
            keyed_hash=lambda text: f"hash of {len(text)}", now=lambda: self.now, environ=self.environ
        )
        return ClaudeSource(target, context)

    async def check(self, **config: Any) -> Observation:
        seen = await self.source(**config).check(AGENT)
        assert "PLANTED-SECRET" not in repr(seen)
        assert "sk-ant" not in repr(seen)
        return seen

    async def refused(self, **config: Any) -> CheckError:
        with pytest.raises(CheckError) as caught:
            await self.source(**config).check(AGENT)
        assert "PLANTED-SECRET" not in str(caught.value)
        return caught.value


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def login(ends_at: float | None, expires_at: float, has_refresh_token: bool = True) -> ObservedProfile:
    return ObservedProfile(
        LOGIN,
        "anthropic",
        "oauth",
        expires_at=expires_at,
        login_ends_at=ends_at,
        has_refresh_token=has_refresh_token,
    )


EXPECTED: dict[str, tuple[tuple[ObservedProfile, ...], int, set[tuple[str, str]]]] = {
    "login_ok_20d": ((login(1797072242.225, 1795365842.225),), 0, set()),
    "login_ends_in_2d": ((login(1795517042.592, 1795365842.592),), 0, set()),
    "access_expired_login_ok": ((login(1796121842.883, 1795340642.883),), 0, set()),
    "login_ended": (
        (login(1795340643.234, 1795337043.234),),
        1,
        {("expired", "critical"), ("no_usable_profile", "critical")},
    ),
    "no_login_deadline": ((login(None, 1795365843.591),), 0, set()),
    "not_logged_in": ((), 1, {("missing", "critical")}),
    "malformed_file": ((), 1, {("missing", "critical")}),
    "setup_token_in_env": (
        (
            ObservedProfile(
                "env:CLAUDE_CODE_OAUTH_TOKEN",
                "anthropic",
                "token",
                has_refresh_token=False,
                secret_hash="hash of 26",
            ),
        ),
        0,
        set(),
    ),
    "api_key_in_env": (
        (
            ObservedProfile(
                "env:ANTHROPIC_API_KEY", "anthropic", "api_key", has_refresh_token=False, secret_hash="hash of 22"
            ),
        ),
        0,
        set(),
    ),
}


@pytest.mark.parametrize("scenario", scenarios(RELEASE))
async def test_capture_gives_the_expected_observation(world: World, scenario: str) -> None:
    profiles, exit_code, conditions = EXPECTED[scenario]
    world.replay(scenario)
    seen = await world.check()
    assert (seen.target, seen.agent, seen.source, seen.dialect) == ("laptop", AGENT, "claude", Dialect.LOGIN)
    assert seen.observed_at == world.now
    assert seen.profiles == profiles
    assert seen.providers_in_use == ("anthropic",)
    assert seen.blind_to == frozenset()
    assert seen.openclaw_exit_code is None
    report = verdict(seen)
    assert report.exit_code == exit_code
    assert {(c.name, c.severity) for c in report.conditions if c.severity != "info"} == conditions


async def test_malformed_credentials_file_is_a_note(world: World) -> None:
    world.replay("malformed_file")
    assert any(
        ".credentials.json was ignored: Claude Code did not write it" in note for note in (await world.check()).notes
    )


async def test_only_agent_is_claude_code(world: World) -> None:
    assert await world.source().agents() == ["claude-code"]
    with pytest.raises(CheckError) as caught:
        await world.source().check("main")
    assert caught.value.reason is FailureReason.UNKNOWN_AGENT


# --- where the command says less ---------------------------------------------------------------------


async def test_file_has_the_date_that_the_command_omits(world: World) -> None:
    world.replay("login_ok_20d")
    printed = json.loads(capture(RELEASE, "login_ok_20d")["stdout"])
    del printed["loginExpiresAt"]
    world.claude(json.dumps(printed))
    assert (await world.check()).profiles == EXPECTED["login_ok_20d"][0]


async def test_date_from_the_command_overrides_the_file(world: World) -> None:
    world.replay("login_ok_20d")
    world.credentials({"claudeAiOauth": {"refreshTokenExpiresAt": 1, "expiresAt": 1795365842225}})
    assert (await world.check()).profiles == (login(1797072242.225, 1795365842.225, has_refresh_token=False),)


async def test_login_in_the_keychain_has_only_the_date_from_the_command(world: World) -> None:
    world.replay("login_ok_20d")
    (world.config / ".credentials.json").unlink()
    assert (await world.check()).profiles == (
        ObservedProfile(LOGIN, "anthropic", "oauth", login_ends_at=1797072242.225),
    )


async def test_claude_config_dir_moves_the_credentials_file(world: World, tmp_path: Path) -> None:
    world.replay("no_login_deadline")
    (tmp_path / "other").mkdir()
    (world.config / ".credentials.json").rename(tmp_path / "other/.credentials.json")
    world.environ["CLAUDE_CONFIG_DIR"] = str(tmp_path / "other")
    assert (await world.check()).profiles == EXPECTED["no_login_deadline"][0]


async def test_credentials_file_replaces_a_missing_command(world: World) -> None:
    world.replay("login_ends_in_2d")
    (world.bin / "claude").unlink()
    seen = await world.check()
    assert seen.profiles == EXPECTED["login_ends_in_2d"][0]
    assert any("was not found" in note and "credentials file" in note for note in seen.notes)


async def test_environment_replaces_a_missing_command(world: World) -> None:
    world.environ.update(SECRETS)
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):  # as Claude Code ranks them
        assert [p.id for p in (await world.check()).profiles] == [f"env:{name}"]
        del world.environ[name]


async def test_missing_command_is_the_failure_if_nothing_replaces_it(world: World) -> None:
    assert (await world.refused()).reason is FailureReason.COMMAND_NOT_FOUND


async def test_command_in_a_container_reads_nothing_of_this_host(world: World) -> None:
    world.replay("login_ends_in_2d")
    world.environ.update(SECRETS)
    error = await world.refused(command=["docker", "exec", "box", "claude"])
    assert error.reason is FailureReason.COMMAND_NOT_FOUND
    assert world.source(command=["docker", "exec", "box", "claude"]).fingerprint() is None


# --- other ways to be served ----------------------------------------------------------------------------


async def test_credential_in_the_environment_precedes_the_login(world: World) -> None:
    world.replay("login_ended")
    world.replay("setup_token_in_env")
    world.environ["ANTHROPIC_AUTH_TOKEN"] = SECRETS["ANTHROPIC_AUTH_TOKEN"]
    seen = await world.check()
    assert [(p.id, p.kind) for p in seen.profiles] == [("env:ANTHROPIC_AUTH_TOKEN", "token")]
    assert any("there is a stored login too" in note for note in seen.notes)


async def test_env_file_is_part_of_the_environment(world: World, tmp_path: Path) -> None:
    world.replay("api_key_in_env")
    del world.environ["ANTHROPIC_API_KEY"]
    (tmp_path / "env").write_text("export ANTHROPIC_API_KEY='PLANTED-SECRET-x'\n")
    assert (await world.check(env_file=str(tmp_path / "env"))).profiles[0].secret_hash == "hash of 16"
    assert (await world.refused(env_file=str(tmp_path / "none"))).reason is FailureReason.OTHER


@pytest.mark.parametrize(
    ("printed", "profile"),
    [
        ({"authMethod": "api_key", "apiKeySource": "/login managed key"}, ("claude-code:api_key", "api_key")),
        ({"authMethod": "api_key_helper"}, ("claude-code:api_key_helper", "api_key")),
        ({"authMethod": "oauth_token"}, ("env:CLAUDE_CODE_OAUTH_TOKEN", "token")),
        ({"authMethod": "something_new"}, ("claude-code:something_new", "unknown")),
        ({"authMethod": "PLANTED-SECRET \n"}, ("claude-code:unknown", "unknown")),
        ({"authMethod": "new", "loginExpiresAt": "2026-12-12T10:44:02.225Z"}, (LOGIN, "oauth")),
        ({}, ("claude-code:unknown", "unknown")),
    ],
)
async def test_each_login_method_has_a_profile(world: World, printed: dict[str, Any], profile: tuple[str, str]) -> None:
    world.claude(json.dumps({"loggedIn": True, **printed}))
    assert [(p.id, p.kind) for p in (await world.check()).profiles] == [profile]


async def test_credentials_of_another_cloud_are_not_missing(world: World) -> None:
    world.claude(json.dumps({"loggedIn": True, "authMethod": "third_party", "apiProvider": "bedrock"}))
    seen = await world.check()
    assert (seen.profiles, seen.providers_in_use) == ((), ())
    assert verdict(seen).exit_code == 0
    assert any("another cloud" in note for note in seen.notes)


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdout", "exit_code", "stderr", "reason"),
    [
        ("", 0, "", FailureReason.INVALID_OUTPUT),
        ("{}", 0, "", FailureReason.INVALID_OUTPUT),
        ('{"loggedIn": "yes"}', 0, "", FailureReason.INVALID_OUTPUT),
        ("[" * 100_000 + '{"a":' * 100_000, 0, "", FailureReason.INVALID_OUTPUT),
        ("", 1, "error: unknown command 'status' PLANTED-SECRET-0123456789abcdef", FailureReason.COMMAND_ERROR),
        ("", 127, "env: node: No such file", FailureReason.COMMAND_NOT_FOUND),
        ("", 137, "", FailureReason.KILLED),
    ],
)
async def test_unreadable_output_has_its_reason(
    world: World, stdout: str, exit_code: int, stderr: str, reason: FailureReason
) -> None:
    world.claude(stdout, exit_code, stderr)
    assert (await world.refused()).reason is reason


async def test_lines_around_the_json_are_ignored(world: World) -> None:
    world.replay("login_ok_20d")
    printed = capture(RELEASE, "login_ok_20d")["stdout"]
    world.claude(f'\x1b[33mupdate available {{"x": 1}}\x1b[0m\n{printed}\nbye')
    assert (await world.check()).profiles == EXPECTED["login_ok_20d"][0]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        '{"claudeAiOauth": 7}',
        "[" * 200_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        '{"claudeAiOauth": {"expiresAt": ' + "9" * 5000 + "}}",
        " " * (1024 * 1024 + 1),
    ],
)
async def test_foreign_credentials_file_is_ignored_with_a_note(world: World, content: str) -> None:
    world.replay("login_ok_20d")
    world.credentials(content)
    seen = await world.check()
    assert seen.profiles == (ObservedProfile(LOGIN, "anthropic", "oauth", login_ends_at=1797072242.225),)
    assert len(seen.notes) == 1


async def test_pipe_or_folder_in_place_of_the_file_does_not_block(world: World) -> None:
    world.replay("login_ok_20d")
    path = world.config / ".credentials.json"
    path.unlink()
    os.mkfifo(path)
    assert len((await world.check()).notes) == 1
    path.unlink()
    path.mkdir()
    assert len((await world.check()).notes) == 1


@given(
    st.dictionaries(
        st.sampled_from(["refreshTokenExpiresAt", "expiresAt", "refreshToken", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none()),
    )
)
def test_arbitrary_login_never_breaks_the_reading(oauth: dict[str, Any]) -> None:
    found = stored_login(json.dumps({"claudeAiOauth": oauth}).encode())
    assert found is not None
    assert found.ends_at is None or found.ends_at > 0
    assert found.access_expires_at is None or found.access_expires_at > 0
    assert found.has_refresh_token is bool(isinstance(t := oauth.get("refreshToken"), str) and t.strip())


def test_file_without_a_login_has_none() -> None:
    assert stored_login(b'{"mcpOAuth": {}}') is None
    assert stored_login(b'{"claudeAiOauth": {}}') == StoredLogin(has_refresh_token=False)


# --- the fingerprint -----------------------------------------------------------------------------------------


def test_fingerprint_changes_with_the_login_but_not_with_its_access_token(world: World) -> None:
    target = ClaudeTarget(source="claude")
    subject = ClaudeSource(target, SourceContext(keyed_hash=lambda text: text, environ=world.environ))
    assert subject.fingerprint() is None
    oauth = {"accessToken": "a", "refreshToken": "r", "expiresAt": 1, "refreshTokenExpiresAt": 1_800_000_000_000}
    world.credentials({"claudeAiOauth": oauth})
    first = subject.fingerprint()
    assert first
    world.credentials({"claudeAiOauth": oauth | {"accessToken": "b", "refreshToken": "s", "expiresAt": 2}})
    assert subject.fingerprint() == first
    world.credentials({"claudeAiOauth": oauth | {"refreshTokenExpiresAt": 1_800_000_000_001}})
    assert subject.fingerprint() != first
