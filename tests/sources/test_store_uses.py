"""Every place where the configuration or a cron job names a model gives a use with its purpose."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Home, keyed_hash

from exporter.model import Purpose, Use
from exporter.sources.store.reader import StoreReader
from exporter.sources.store.uses import providers_of, uses_of

CHAT = Use("anthropic/opus", Purpose.CHAT)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def nested(path: str, value: object) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def configured(defaults: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    agents = {"defaults": {"model": "anthropic/opus", **(defaults or {})}, **rest.pop("agents", {})}
    return {"agents": agents, **rest}


def beside_chat(config: object, agent: str = "main") -> list[tuple[str, str, str]]:
    uses = uses_of(config, agent)
    assert CHAT in uses
    return [(use.purpose, use.model, use.name) for use in uses if use != CHAT]


AGENT_PLACES = {
    "heartbeat.model": "heartbeat",
    "subagents.model": "sub_agents",
    "imageModel": "images",
    "pdfModel": "pdf_files",
    "voiceModel": "voice",
    "tts.summaryModel": "voice",
    "compaction.model": "compaction",
    "compaction.memoryFlush.model": "memory_flush",
    "utilityModel": "utility",
    "decisionModel": "decisions",
    "tools.exec.reviewer.model": "reviewer",
    "embeddedAgent.cyberFailover.model": "failover",
    "imageGenerationModel": "image_generation",
    "mediaModels.image": "image_generation",
    "musicGenerationModel": "music_generation",
    "mediaModels.music": "music_generation",
    "videoGenerationModel": "video_generation",
    "mediaModels.video": "video_generation",
}


@pytest.mark.parametrize(("place", "purpose"), AGENT_PLACES.items())
def test_model_of_an_agent_or_of_the_defaults_is_in_use(place: str, purpose: str) -> None:
    in_defaults = configured(nested(place, "zai/glm"))
    assert beside_chat(in_defaults) == beside_chat(in_defaults, "work") == [(purpose, "zai/glm", "")]
    own = nested(place, "groq/fast")
    for form in ({"list": [{"id": "main", "default": True}, {"id": "work", **own}]}, {"entries": {"work": own}}):
        assert beside_chat(configured(agents=form), "work") == [(purpose, "groq/fast", "")]
        assert beside_chat(configured(agents=form)) == []
        over = configured(nested(place, "zai/glm"), agents=form)
        assert beside_chat(over, "work") == [(purpose, "groq/fast", "")]


@pytest.mark.parametrize(("place", "purpose"), AGENT_PLACES.items())
def test_model_may_be_an_alias_or_an_object_with_fallbacks(place: str, purpose: str) -> None:
    setting = {"primary": "GLM", "fallbacks": ["groq/fast@groq:work", "no-provider", 3]}
    config = configured({**nested(place, setting), "models": {"zai/glm": {"alias": "glm"}}})
    assert beside_chat(config) == [(purpose, "zai/glm", ""), (purpose, "groq/fast", "")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (nested("channels.modelByChannel.telegram.15550100", "zai/glm"), [("channel", "zai/glm", "telegram")]),
        (nested("channels.clickclack.model", "zai/glm"), [("channel", "zai/glm", "clickclack")]),
        (nested("channels.discord.voice.model", "zai/glm"), [("voice", "zai/glm", "")]),
        (nested("channels.discord.voice.realtime.model", "zai/glm"), [("voice", "zai/glm", "")]),
        (nested("channels.discord.accounts.home.voice.model", "zai/glm"), [("voice", "zai/glm", "")]),
        ({"channels": {"discord": {"enabled": False, "voice": {"model": "zai/glm"}}}}, []),
        ({"hooks": {"enabled": True, "gmail": {"model": "zai/glm"}}}, [("hook", "zai/glm", "gmail")]),
        ({"hooks": {"gmail": {"model": "zai/glm"}}}, []),
        (
            {
                "hooks": {
                    "enabled": True,
                    "mappings": [{"id": "ci", "model": "zai/glm"}, {"model": "x/y", "agentId": "b"}],
                }
            },
            [("hook", "zai/glm", "ci")],
        ),
        (nested("tools.exec.reviewer.model", "zai/glm"), [("reviewer", "zai/glm", "")]),
        (
            nested("tools.media.models", [{"provider": "zai", "model": "glm"}, {"type": "cli"}]),
            [("media", "zai/glm", "")],
        ),
        (nested("tools.media.audio.models", [{"provider": "groq"}]), [("media", "groq", "")]),
        ({"tools": {"media": {"image": {"enabled": False, "preferredModel": "zai/glm"}}}}, []),
        (nested("tools.media.video.preferredModel", "zai/glm"), [("media", "zai/glm", "")]),
        (nested("messages.tts.summaryModel", "zai/glm"), [("voice", "zai/glm", "")]),
        (nested("tts.summaryModel", "zai/glm"), [("voice", "zai/glm", "")]),
        (nested("channels.discord.voice.tts.summaryModel", "zai/glm"), [("voice", "zai/glm", "")]),
        (
            {"hooks": {"enabled": True, "mappings": [{"match": {"path": "gh"}, "model": "zai/glm"}]}},
            [("hook", "zai/glm", "gh")],
        ),
    ],
)
def test_model_that_the_configuration_names_for_all_agents_is_in_use(
    config: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert beside_chat(configured(**config)) == expected


@pytest.mark.parametrize("every", ["0m", "0", "0s", "", " 0h "])
def test_heartbeat_that_is_switched_off_uses_nothing(every: str) -> None:
    assert beside_chat(configured({"heartbeat": {"model": "zai/glm", "every": every}})) == []
    own = {"entries": {"main": {"heartbeat": {"every": "5m"}}}}
    on = configured({"heartbeat": {"model": "zai/glm", "every": every}}, agents=own)
    assert beside_chat(on) == [("heartbeat", "zai/glm", "")]


def test_only_agents_with_a_heartbeat_of_their_own_have_one_if_any_has() -> None:
    own = {"list": [{"id": "main"}, {"id": "ops", "heartbeat": {"every": "5m"}}, {"id": "work"}]}
    config = configured({"heartbeat": {"model": "zai/glm"}}, agents=own)
    assert [bool(beside_chat(config, agent)) for agent in ("main", "ops", "work")] == [False, True, False]


@pytest.mark.parametrize(
    ("place", "switch"),
    [("compaction.memoryFlush", {"enabled": False}), ("embeddedAgent.cyberFailover", {"mode": "off"})],
)
def test_what_is_switched_off_uses_nothing(place: str, switch: dict[str, Any]) -> None:
    assert beside_chat(configured(nested(place, {"model": "zai/glm", **switch}))) == []


def test_blank_setting_of_an_agent_switches_the_default_off() -> None:
    config = configured({"utilityModel": "zai/glm"}, agents={"entries": {"main": {"utilityModel": ""}}})
    assert beside_chat(config) == []


def test_providers_are_known_only_with_a_chat_model() -> None:
    assert providers_of(uses_of({"agents": {"defaults": {"heartbeat": {"model": "zai/glm"}}}}, "main")) is None
    assert providers_of(uses_of(configured({"heartbeat": {"model": "zai/glm"}}), "main")) == ("anthropic", "zai")


@pytest.mark.parametrize(
    "place",
    [
        "$include",
        "agents.$include",
        "agents.defaults.$include",
        "hooks.$include",
        "channels.$include",
        "tools.$include",
    ],
)
def test_configuration_that_includes_a_file_may_use_more_than_was_seen(home: Home, place: str) -> None:
    home.write_config(configured())
    assert home.read().sees_uses
    home.write_config(nested(place, "./more.json5"))
    assert not home.read().sees_uses


_NAMES = (
    *("agents", "defaults", "list", "entries", "main", "model", "primary", "fallbacks", "heartbeat", "every", "hooks"),
    *("enabled", "mode", "channels", "modelByChannel", "tools", "media", "models", "provider", "alias", "id", "gmail"),
)
WORDS = st.sampled_from(_NAMES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["a/b", "0m", "off"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=40,
)


@given(JSON)
def test_any_configuration_can_be_read(config: object) -> None:
    for use in uses_of(config, "main"):
        assert use.provider


# --- cron jobs -------------------------------------------------------------------------------------

JOBS: list[dict[str, Any]] = [
    {"id": "1", "name": "daily report", "enabled": True, "model": "zai/glm", "fallbacks": ["groq/fast"]},
    {"id": "2", "name": "off", "enabled": False, "model": "xai/grok"},
    {"id": "3", "name": "other agent", "enabled": True, "agentId": "work", "model": "mistral/large"},
    {"id": "4", "name": "default model", "enabled": True},
    {"id": "5", "name": "event", "enabled": True, "kind": "systemEvent", "model": "x/y"},
]


def _as_stored() -> list[dict[str, Any]]:
    return [
        {
            **{key: job[key] for key in ("id", "name", "enabled", "agentId") if key in job},
            "payload": {
                "kind": job.get("kind", "agentTurn"),
                "model": job.get("model"),
                "fallbacks": job.get("fallbacks"),
            },
        }
        for job in JOBS
    ]


def write_jobs_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "jobs": _as_stored()}))


def write_jobs_table(path: Path, key: str) -> None:
    """The table of 2026.9; 2026.6 has it with further columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS cron_jobs (store_key TEXT NOT NULL, job_id TEXT NOT NULL, name TEXT NOT NULL,"
            " enabled INTEGER NOT NULL, agent_id TEXT, payload_kind TEXT NOT NULL, job_json TEXT NOT NULL,"
            " state_json TEXT NOT NULL DEFAULT '{}') STRICT"
        )
        for job, row in zip(JOBS, _as_stored(), strict=True):
            kind = row["payload"]["kind"]
            values = (key, job["id"], job["name"], job["enabled"], job.get("agentId"), kind, json.dumps(row))
            db.execute("INSERT INTO cron_jobs VALUES (?,?,?,?,?,?,?,'{}')", values)
    db.close()


@pytest.mark.parametrize("form", ["file", "moved file", "table", "table of a container"])
def test_enabled_cron_jobs_of_the_agent_use_their_models(home: Home, form: str) -> None:
    config = configured(agents={"entries": {"main": {}, "work": {}}})
    state = home.paths().state_dir
    if form == "moved file":
        config["cron"] = {"store": str(state / "elsewhere.json")}
    home.write_config(config)
    match form:
        case "table":
            write_jobs_table(state / "state" / "openclaw.sqlite", str(state / "cron" / "jobs.json"))
            write_jobs_table(state / "state" / "openclaw.sqlite", "/an/older/place/jobs.json")
        case "table of a container":
            write_jobs_table(state / "state" / "openclaw.sqlite", "/home/node/.openclaw/cron/jobs.json")
        case _:
            write_jobs_file(state / ("cron/jobs.json" if form == "file" else "elsewhere.json"))
    jobs = [(use.purpose, use.model, use.name) for use in home.read().uses if use.purpose is Purpose.CRON_JOB]
    assert jobs == [("cron_job", "zai/glm", "daily report"), ("cron_job", "groq/fast", "daily report")]
    assert [use.model for use in home.read("work").uses] == ["anthropic/opus", "mistral/large"]
    assert home.read().providers_in_use == ("anthropic", "zai", "groq")
    home.write_config({**config, "cron": {**config.get("cron", {}), "enabled": False}})
    assert [use.model for use in home.read().uses] == ["anthropic/opus"]


def test_moved_jobs_file_may_be_in_the_home_of_the_user_who_runs_openclaw(home: Home) -> None:
    home.write_config({**configured(), "cron": {"store": "~/jobs.json"}})
    write_jobs_file(home.state_dir.parent / "jobs.json")
    assert "zai/glm" in [use.model for use in home.read().uses]


def test_jobs_of_another_store_in_the_database_use_nothing(home: Home) -> None:
    home.write_config(configured())
    database = home.state_dir / "state" / "openclaw.sqlite"
    write_jobs_table(database, str(home.state_dir / "cron" / "jobs.json"))
    with sqlite3.connect(database) as db:
        db.execute("UPDATE cron_jobs SET store_key = '/an/older/place/jobs.json' WHERE job_id = '3'")
        db.execute("UPDATE cron_jobs SET job_json = replace(job_json, '\"work\"', '\"main\"')")
    db.close()
    assert "mistral/large" not in [use.model for use in home.read().uses]


def test_cron_job_in_the_database_that_is_not_json_is_noted(home: Home) -> None:
    home.write_config(configured())
    database = home.state_dir / "state" / "openclaw.sqlite"
    write_jobs_table(database, str(home.state_dir / "cron" / "jobs.json"))
    with sqlite3.connect(database) as db:
        db.execute("UPDATE cron_jobs SET job_json = '{' WHERE job_id = '1'")
    db.close()
    facts = home.read()
    assert (facts.uses, facts.sees_uses) == ((CHAT,), False)
    assert [note for note in facts.notes if note.endswith("holds a cron job that is not JSON")]


def test_change_of_a_cron_job_matters_and_its_runs_do_not(home: Home) -> None:
    home.write_config(configured())
    database = home.state_dir / "state" / "openclaw.sqlite"
    write_jobs_table(database, str(home.state_dir / "cron" / "jobs.json"))
    reader = StoreReader(keyed_hash)
    seen = []
    for change in (
        "state_json = '{\"error\": 1}'",
        "enabled = 0",
        "job_json = replace(job_json, 'zai/glm', 'xai/grok')",
    ):
        seen.append(reader.fingerprint([home.paths()]))
        with sqlite3.connect(database) as db:
            db.execute(f"UPDATE cron_jobs SET {change} WHERE job_id IN ('1', '3')")
        db.close()
    seen.append(reader.fingerprint([home.paths()]))
    assert seen[0] == seen[1]
    assert len({found and found.hash for found in seen[1:]}) == 2  # the job that is off changes unnoticed


def test_table_of_cron_jobs_of_another_form_hides_no_change_of_a_credential(home: Home) -> None:
    database = home.state_dir / "state" / "openclaw.sqlite"
    database.parent.mkdir(parents=True)
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE cron_jobs (everything TEXT)")
        db.execute("CREATE TABLE config_machine_state (state_key TEXT, value_json TEXT)")
    db.close()
    reader, found = StoreReader(keyed_hash), []
    for secret in ("A", "B"):
        profile = {"type": "token", "provider": "anthropic", "token": secret * 40}
        store = json.dumps({"version": 1, "profiles": {"anthropic:default": profile}})
        with sqlite3.connect(database) as db:
            db.execute("DELETE FROM config_machine_state")
            db.execute("INSERT INTO config_machine_state VALUES ('authProfiles.store', ?)", (store,))
        db.close()
        found.append(reader.fingerprint([home.paths()]))
    assert all(one and one.is_complete for one in found)
    assert found[0] != found[1]


def test_change_of_a_jobs_file_matters(home: Home) -> None:
    home.write_config(configured())
    reader, file = StoreReader(keyed_hash), home.state_dir / "cron" / "jobs.json"
    before = reader.fingerprint([home.paths()])
    write_jobs_file(file)
    assert reader.fingerprint([home.paths()]) != before


@pytest.mark.parametrize(
    "place", ["channels.modelByChannel.slack.C1", "hooks.gmail.model", "tools.exec.reviewer.model"]
)
def test_change_of_a_model_for_all_agents_matters(home: Home, place: str) -> None:
    reader, found = StoreReader(keyed_hash), set()
    for model in ("zai/glm", "groq/fast"):
        home.write_config(configured(**nested(place, model)))
        fingerprint = reader.fingerprint([home.paths()])
        found.add(fingerprint and fingerprint.hash)
    assert len(found) == 2


def test_cron_jobs_that_cannot_be_read_are_noted(home: Home) -> None:
    home.write_config(configured())
    file = home.paths().state_dir / "cron" / "jobs.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    facts = home.read()
    assert facts.uses == (CHAT,)
    assert [note for note in facts.notes if note.startswith("the models of cron jobs cannot be seen")]
