"""The claude source against a real Claude Code, which reports its login without a network."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from captured import verdict

from exporter.config import AutoTarget, ClaudeTarget
from exporter.model import Observation
from exporter.sources import SourceContext
from exporter.sources.auto import AutoSource
from exporter.sources.claude import AGENT, LOGIN, ClaudeSource

from .conftest import need

pytestmark = pytest.mark.real

RELEASE = "2.1.330"
DAY = 86400.0


@pytest.fixture
def claude() -> Path:
    """The executable. If it is missing, the test fails in CI and is skipped elsewhere."""
    return need(f"claude-{RELEASE}")


class Home:
    """A home in which Claude Code is logged in or not."""

    def __init__(self, folder: Path, command: Path) -> None:
        self.config = folder / ".claude"
        self.config.mkdir()
        self.command = command
        self.environ = {"HOME": str(folder), "PATH": f"{command.parent}:/usr/bin:/bin"}

    def write(self, content: object) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.config / ".credentials.json").write_text(text)

    def log_in(self, ends_in: float | None, access_ends_in: float = 3600.0, **more: Any) -> float:
        """Write a login as Claude Code stores it; return its end."""
        now = time.time()
        login = {
            "accessToken": "sk-ant-oat01-PLANTED-SECRET",
            "refreshToken": "sk-ant-ort01-PLANTED-SECRET",
            "expiresAt": int((now + access_ends_in) * 1000),
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
            **more,
        }
        if ends_in is not None:
            login["refreshTokenExpiresAt"] = int((now + ends_in) * 1000)
        self.write({"claudeAiOauth": login})
        return int((now + (ends_in or 0)) * 1000) / 1000

    async def check(self, **environ: str) -> Observation:
        context = SourceContext(keyed_hash=lambda text: f"hash{len(text)}", environ=self.environ | environ)
        source = ClaudeSource(ClaudeTarget(source="claude", timeout="60s"), context)
        seen = await source.check(AGENT)
        assert "PLANTED-SECRET" not in repr(seen)
        return seen


@pytest.fixture
def home(tmp_path: Path, claude: Path) -> Home:
    return Home(tmp_path, claude)


async def test_no_login_is_exit_code_1(home: Home) -> None:
    seen = await home.check()
    assert (seen.profiles, seen.providers_in_use) == ((), ("anthropic",))
    assert verdict(seen).exit_code == 1


@pytest.mark.parametrize(
    ("ends_in", "access_ends_in", "exit_code"),
    [(20 * DAY, 3600.0, 0), (20 * DAY, -3600.0, 0), (DAY / 2, 3600.0, 2), (-3600.0, -7200.0, 1)],
)
async def test_the_login_s_end_decides_and_not_the_access_token_s(
    home: Home, ends_in: float, access_ends_in: float, exit_code: int
) -> None:
    ends_at = home.log_in(ends_in, access_ends_in)
    seen = await home.check()
    assert [(p.id, p.kind, p.login_ends_at, p.has_refresh_token) for p in seen.profiles] == [
        (LOGIN, "oauth", ends_at, True)
    ]
    assert verdict(seen).exit_code == exit_code


async def test_a_login_without_an_end_is_fine(home: Home) -> None:
    home.log_in(None)
    seen = await home.check()
    assert [(p.id, p.login_ends_at, p.has_refresh_token) for p in seen.profiles] == [(LOGIN, None, True)]
    assert verdict(seen).exit_code == 0


async def test_a_malformed_file_is_no_profile_and_a_note(home: Home) -> None:
    home.write("{not json")
    seen = await home.check()
    assert seen.profiles == ()
    assert len(seen.notes) == 1


@pytest.mark.parametrize(
    ("variable", "kind"),
    [("CLAUDE_CODE_OAUTH_TOKEN", "token"), ("ANTHROPIC_API_KEY", "api_key"), ("ANTHROPIC_AUTH_TOKEN", "token")],
)
async def test_the_environment_takes_precedence_over_the_login(home: Home, variable: str, kind: str) -> None:
    home.log_in(-DAY)
    seen = await home.check(**{variable: "PLANTED-SECRET-in-env"})
    assert [(p.id, p.kind, p.secret_hash) for p in seen.profiles] == [(f"env:{variable}", kind, "hash21")]
    assert verdict(seen).exit_code == 0


async def test_precedence_among_environment_variables(home: Home) -> None:
    names = ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]
    for first in range(3):
        seen = await home.check(**dict.fromkeys(names[first:], "PLANTED-SECRET-in-env"))
        assert [p.id for p in seen.profiles] == [f"env:{names[first]}"]


async def test_auto_chooses_claude_without_openclaw(home: Home) -> None:
    home.log_in(20 * DAY)
    context = SourceContext(keyed_hash=lambda text: "hash", environ=home.environ)
    source = AutoSource(AutoTarget(timeout="60s"), context)
    assert await source.agents() == [AGENT]
    assert source.chosen == f"claude: there is no OpenClaw, and {home.command} is on PATH"
    assert (await source.check(AGENT)).profiles[0].id == LOGIN
