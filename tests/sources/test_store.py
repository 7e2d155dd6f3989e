"""Where the store is, and the store as a source of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import DAY, MS, NOW, SECRET, Home, keyed_hash, store_of, token

from exporter.config import StoreTarget
from exporter.model import CheckError, Dialect, FailureReason, Observation, Purpose, Use
from exporter.sources import SourceContext
from exporter.sources.store import source as store_source
from exporter.sources.store.paths import StorePaths
from exporter.sources.store.source import StoreSource


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- where the store is ---


STATE = Path("/home/u/.openclaw")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"agentDir": f"{STATE}/agents/work/agent", "configPath": f"{STATE}/openclaw.json"},
            StorePaths(STATE / "agents/work/agent", STATE, STATE / "openclaw.json"),
        ),
        (
            {
                "agentDir": "/data/work",
                "configPath": "/etc/openclaw.json",
                "auth": {"storePath": f"{STATE}/state/openclaw.sqlite"},
            },
            StorePaths(Path("/data/work"), STATE, Path("/etc/openclaw.json")),
        ),
        (
            {"agentDir": f"{STATE}/agents/work/agent", "configPath": "/etc/openclaw.json"},
            StorePaths(STATE / "agents/work/agent", STATE, Path("/etc/openclaw.json")),
        ),
        (
            {"agentDir": "/data/work", "auth": {"storePath": f"{STATE}/agents/w/agent/auth-profiles.json"}},
            StorePaths(Path("/data/work"), STATE, STATE / "openclaw.json"),
        ),
        ({"agentDir": "/data/work", "auth": []}, None),
        ({"agentDir": "agents/work/agent"}, None),
        ({"agentDir": "/a\0b"}, None),
        ({"agentDir": 7, "configPath": [], "auth": "x"}, None),
        ({}, None),
    ],
)
def test_paths_are_read_from_the_output_of_the_command(payload: dict[str, Any], expected: StorePaths | None) -> None:
    assert StorePaths.from_status(payload) == expected


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["agentDir", "configPath", "auth"]), st.text() | st.integers() | st.none()))
def test_nonsense_gives_no_paths(payload: dict[str, Any]) -> None:
    found = StorePaths.from_status(payload)

    assert found is None or found.agent_dir.is_absolute()


def test_environment_decides_the_paths() -> None:
    main = StorePaths.from_environment({"HOME": "/home/u"}, None, "main")
    assert main == StorePaths(STATE / "agents/main/agent", STATE, STATE / "openclaw.json")
    moved = {
        "HOME": "/home/u",
        "OPENCLAW_STATE_DIR": "~/state",
        "OPENCLAW_CONFIG_PATH": "~/c.json",
        "OPENCLAW_AGENT_DIR": "/agent",
    }
    state, config, agent = Path("/home/u/state"), Path("/home/u/c.json"), Path("/agent")
    assert StorePaths.from_environment(moved, None, "main") == StorePaths(agent, state, config, agent)
    assert StorePaths.from_environment(moved, None, "w") == StorePaths(state / "agents/w/agent", state, config, agent)
    assert StorePaths.from_environment(moved, "~/other", "w").state_dir == Path("/home/u/other")
    assert StorePaths.from_environment(moved, None, "w").shared_dir == agent
    assert StorePaths.from_environment({"HOME": "/h", "OPENCLAW_HOME": "/o"}, None, "w").state_dir == Path(
        "/o/.openclaw"
    )


@pytest.mark.parametrize("folder", [".openclaw", ".clawdbot", ".moltbot", ".moldbot"])
@pytest.mark.parametrize("file", ["openclaw.json", "clawdbot.json", "moltbot.json", "moldbot.json"])
def test_home_under_a_former_name_is_found(tmp_path: Path, folder: str, file: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).write_text("{}")
    found = StorePaths.from_environment({"HOME": str(tmp_path)}, None, "main")
    assert (found.state_dir, found.config_path) == (tmp_path / folder, tmp_path / folder / file)
    chosen = StorePaths.from_environment({"HOME": "/nowhere"}, str(tmp_path / folder), "main")
    assert chosen == found


def test_folder_that_was_chosen_is_alone_and_former_ones_have_an_order(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    for folder in (".moldbot", ".moltbot", ".clawdbot"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "moltbot.json").write_text("{}")
        assert StorePaths.from_environment(environ, None, "main").state_dir == tmp_path / folder
    chosen = StorePaths.from_environment(environ, "~/elsewhere", "main")
    assert chosen.config_path == tmp_path / "elsewhere" / "openclaw.json"


@pytest.mark.parametrize("nothing", ["undefined", "null", " ", ""])
def test_variable_that_a_script_left_undefined_chooses_nothing(nothing: str) -> None:
    environ = {"HOME": "/nowhere", "OPENCLAW_STATE_DIR": nothing, "OPENCLAW_AGENT_DIR": nothing}
    assert StorePaths.from_environment(environ, None, "w").agent_dir == Path("/nowhere/.openclaw/agents/w/agent")


def test_former_home_counts_only_without_the_present_one(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "CLAWDBOT_STATE_DIR": str(tmp_path / "moved")}
    assert StorePaths.from_environment(environ, None, "main").state_dir == tmp_path / "moved"
    (tmp_path / ".clawdbot").mkdir()
    (tmp_path / ".clawdbot" / "clawdbot.json").write_text("{}")
    (tmp_path / ".openclaw").mkdir()
    found = StorePaths.from_environment(environ, None, "main")
    # OpenClaw reads a former configuration until there is one in its folder.
    assert (found.state_dir, found.config_path) == (tmp_path / ".openclaw", tmp_path / ".clawdbot" / "clawdbot.json")
    (tmp_path / ".openclaw" / "openclaw.json").write_text("{}")
    found = StorePaths.from_environment(environ, None, "main")
    assert found.config_path == tmp_path / ".openclaw" / "openclaw.json"


# --- the source ---


def source(home: Home, **more: Any) -> StoreSource:
    target = StoreTarget(name="old", source="store", state_dir=str(home.state_dir), **more)
    return StoreSource(target, SourceContext(keyed_hash=keyed_hash, now=lambda: NOW, environ={"HOME": "/nowhere"}))


async def test_check_reads_the_stored_profiles(home: Home) -> None:
    home.write_shared(store_of(anthropic_default=token(expires=MS + DAY)))
    home.write_config({"agents": {"defaults": {"model": "anthropic/opus"}}, "meta": {"lastTouchedVersion": "2026.9.6"}})

    seen = await source(home).check("main")

    assert seen == Observation(
        target="old",
        agent="main",
        source="store",
        dialect=Dialect.STORE,
        observed_at=NOW,
        profiles=home.read().profiles,
        providers_in_use=("anthropic",),
        uses=(Use("anthropic/opus", Purpose.CHAT),),
        agent_dir=str(home.paths().agent_dir),
        openclaw_version="2026.9.6",
    )
    assert SECRET not in repr(seen)


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ({"list": [{"id": "main"}, {"id": "Work", "default": True}, {"name": "x"}]}, ["work", "main"]),
        ({"list": [{"id": "b"}, {"id": "a"}]}, ["b", "a"]),
        ({"entries": {"work": {}, "main": {}, "bad": 3}, "list": [{"id": "old"}]}, ["main", "work"]),
        ({"entries": {}}, ["main"]),
        ({}, ["main"]),
    ],
)
async def test_agents_are_those_in_openclaw_json(home: Home, agents: object, expected: list[str]) -> None:
    home.write_json({}, "leftover")
    home.write_config({"agents": agents})

    assert await source(home).agents() == expected


async def test_folders_are_the_agents_without_a_configuration(home: Home) -> None:
    home.write_json({}, "work")
    home.write_json({}, "another")
    (home.state_dir / "agents" / "empty").mkdir()
    (home.state_dir / "agents" / "file").write_text("")

    assert await source(home).agents() == ["main", "another", "work"]
    assert await source(home, agents=["work"]).agents() == ["work"]


async def test_unknown_agent_fails_the_check(home: Home) -> None:
    home.write_json({}, "leftover")
    home.write_config({"agents": {"list": [{"id": "main"}]}})

    for agent in ("leftover", "../../etc", "x" * 100_000, SECRET):
        with pytest.raises(CheckError) as caught:
            await source(home).check(agent)
        assert caught.value.reason is FailureReason.UNKNOWN_AGENT
        assert SECRET not in str(caught.value)
        assert len(str(caught.value)) < 1000


async def test_folder_makes_an_agent_if_none_is_listed(home: Home) -> None:
    home.write_json({"a:b": token()}, "work")

    assert len((await source(home).check("work")).profiles) == 1
    assert (await source(home).check("main")).profiles == home.read().profiles
    with pytest.raises(CheckError) as caught:
        await source(home).check("nobody")
    assert caught.value.reason is FailureReason.UNKNOWN_AGENT


async def test_configured_agent_folder_is_used(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    home.write_json({"a:b": token()}, "tmp").parent.rename(elsewhere)
    home.write_config({"agents": {"entries": {"work": {"agentDir": str(elsewhere)}}}})

    assert [profile.id for profile in (await source(home).check("work")).profiles] == ["a:b"]


async def test_missing_state_folder_fails_agents_and_check(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state_dir.rmdir()

    for ask in (source(home).agents(), source(home).check("main")):
        with pytest.raises(CheckError) as caught:
            await ask
        assert caught.value.reason is FailureReason.STORE_UNREADABLE
    assert source(home).fingerprint() is None


async def test_store_source_finds_environment_credentials_of_providers_in_use(home: Home, tmp_path: Path) -> None:
    fallbacks = ["openai/x", "google/x", "xai/x"]
    model = {"model": {"primary": "anthropic/x", "fallbacks": fallbacks}}
    home.write_config(
        {
            "agents": {"defaults": model},
            "env": {
                "OPENAI_API_KEY": SECRET + "1",
                "vars": {"GROQ_API_KEY": "unused", "XAI_API_KEY": " "},
                "shellEnv": {},
            },
        }
    )
    (home.state_dir / ".env").write_text(f"export GOOGLE_API_KEY='{SECRET}2'\nANTHROPIC_API_KEY=second\n")
    (tmp_path / "service.env").write_text(f"ANTHROPIC_OAUTH_TOKEN={SECRET}3\n")

    seen = await source(home, env_file=str(tmp_path / "service.env")).check("main")

    assert [(p.id, p.provider, p.kind, p.status, p.secret_hash) for p in seen.profiles] == [
        ("env:ANTHROPIC_OAUTH_TOKEN", "anthropic", "token", None, keyed_hash(SECRET + "3")),
        ("env:OPENAI_API_KEY", "openai", "api_key", None, keyed_hash(SECRET + "1")),
        ("env:GOOGLE_API_KEY", "google", "api_key", None, keyed_hash(SECRET + "2")),
    ]
    assert SECRET not in repr(seen)


async def test_provider_with_its_credential_elsewhere_is_not_missing(home: Home) -> None:
    home.write_config(
        {
            "agents": {
                "defaults": {"model": {"primary": "anthropic/x", "fallbacks": ["ollama/x", "mine/x", "other/x"]}}
            },
            "models": {"providers": {"Mine": {"apiKey": SECRET}, "other": {"baseUrl": "http://127.0.0.1"}}},
        }
    )

    seen = await source(home).check("main")

    assert seen.providers_in_use == ("anthropic", "other")
    assert seen.notes == ("the credentials of ollama, mine are not in the store and are not checked",)


async def test_hanging_store_times_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(store_source, "require_readable", lambda _: go_on.wait(30))
    hanging = source(home, timeout="10ms")

    for _ in range(3):  # and no thread is started beside the one that hangs
        with pytest.raises(CheckError) as caught:
            await hanging.check("main")
        assert caught.value.reason is FailureReason.TIMEOUT
    assert [thread.name for thread in threading.enumerate()].count("store") == 1

    go_on.set()


async def test_fingerprint_covers_the_checked_agents(home: Home) -> None:
    home.write_local(store_of(a_b=token()))
    home.write_local(store_of(), None, "work")
    home.write_config({"agents": {"list": [{"id": "main"}, {"id": "work"}]}})
    watching = source(home)
    alone = watching.fingerprint()
    await watching.agents()
    both = watching.fingerprint()

    home.write_local(store_of(a_c=token()), None, "work")

    assert len({alone, both, watching.fingerprint()}) == 3
    await watching.aclose()
