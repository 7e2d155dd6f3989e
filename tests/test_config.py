"""The configuration: defaults work, the contract's example is accepted, and mistakes get a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.config import (
    AutoTarget,
    Config,
    ConfigError,
    OpenClawTarget,
    default_config_file,
    default_state_dir,
    load,
    parse,
    redacted,
    schema,
)

EXAMPLE = (Path(__file__).parent / "data" / "example.json5").read_text(encoding="utf-8")


def test_no_configuration_at_all_works() -> None:
    config = load(None)
    assert config.targets == [AutoTarget(name="local")]
    assert (config.interval, config.web.listen) == (300.0, "127.0.0.1:9785")


def test_the_example_is_accepted() -> None:
    config = parse(EXAMPLE)
    assert [target.name for target in config.targets] == ["home", "vps", "rack7", "laptop", "old"]
    assert config.policy.of("vps", "main", "anthropic:default").issued_at == 1777593600.0
    assert config.policy.of("home", "main", "anthropic:work").alias == "work"
    assert config.policy.of("home", "main", "anthropic:default").issued_at is None


def test_a_remote_look_is_hourly_by_default() -> None:
    config = parse('{interval: "1m", targets: [{name: "a", source: "openclaw", ssh: "me@vps"}, {name: "b"}]}')
    assert [config.interval_of(target) for target in config.targets] == [3600.0, 60.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{targets: [{sorce: "store"}]}', "targets[0].sorce: unknown key; did you mean 'source'?"),
        ('{intervall: "5m"}', "intervall: unknown key; did you mean 'interval'?"),
        ('{interval: "5 parsecs"}', "interval: '5 parsecs' is no duration"),
        ("{interval: 5}", "interval: write a duration with its unit"),
        ('{interval: "0.5s"}', "interval: input should be greater than or equal to 1"),
        ('{targets: [{source: "stor"}]}', "targets[0].source: unknown source; there are auto, claude, gateway"),
        ('{targets: [{source: "openclaw", agents: []}]}', 'targets[0].agents: write "all" or a list of agent ids'),
        ('{targets: [{name: "a"}, {name: "a"}]}', "targets: two are named 'a'"),
        ('{targets: [{name: "a/b"}]}', "targets[0].name: "),
        ("{targets: []}", "targets: list should have at least 1 item"),
        ('{channels: [{name: "x", type: "ntfi"}]}', "channels[0].type: unknown type; there are alertmanager"),
        ('{channels: [{name: "x", type: "ntfy", topc: "y"}]}', "channels[0].topc: unknown key; did you mean 'topic'?"),
        ('{alerts: {order: ["x"]}}', "alerts.order: there is no channel named 'x'"),
        ('{web: {listen: "9785"}}', "web.listen: '9785' is no address"),
        ('{web: {tls: {cert_file: "a"}}}', "web.tls: cert_file and key_file belong together"),
        ('{policy: {profiles: {x: {alis: "y"}}}}', "policy.profiles.x.alis: unknown key; did you mean 'alias'?"),
        ('{policy: {profiles: {x: {expires_at: "soon"}}}}', "policy.profiles.x.expires_at: 'soon' is no date"),
        ('{targets: [{source: "gateway", token: "a", token_file: "b"}]}', "targets[0]: token and token_file are both"),
        ('{targets: [{source: "openclaw", ssh: "-oProxyCommand=x"}]}', "targets[0].ssh: "),
        ('{"a": 1, "a": 2}', "a: unknown key"),
        ("[]", "must be an object"),
        ("{a: 1,", "is not JSON5: line 1"),
        ("{a: " + "[" * 100_000, "is n"),
    ],
)  # fmt: skip
def test_a_mistake_gets_a_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "config.json5")
    assert len(caught.value.problems) == 1, caught.value.problems
    assert str(caught.value).startswith(f"config.json5: {sentence}")


def test_a_problem_never_quotes_a_secret() -> None:
    secret = "PLANTED-SECRET-VALUE"
    for text in (
        f'{{targets: [{{source: "gateway", token: ["{secret}"]}}]}}',
        f'{{targets: [{{source: "gateway", token: "{secret}", token_file: "x"}}]}}',
        f'{{targets: [{{source: "gateway", token: "{secret}"',
        f'{{targets: [{{source: "gateway", token: "{secret}", interval: 5}}]}}',
    ):
        with pytest.raises(ConfigError) as caught:
            parse(text)
        assert secret not in str(caught.value)


def test_show_redacts_every_secret() -> None:
    config = parse(
        """{targets: [{source: "gateway", token: "PLANTED-1"}], web: {token: "PLANTED-2"}, channels: [
        {name: "a", type: "ntfy", topic: "PLANTED-3", token: "PLANTED-4"}, {name: "b", type: "webhook",
        url: "PLANTED-5", secret: "PLANTED-6"}], heartbeat: {url: "PLANTED-7"}}"""
    )
    shown = json.dumps(redacted(config))
    assert "PLANTED" not in shown
    assert shown.count("<secret>") == 7
    assert "PLANTED" not in repr(config)


def test_what_show_prints_is_a_configuration_again() -> None:
    config = parse(
        '{interval: "90s", policy: {profiles: {"a": {expires_at: "2026-03-01"}}}, alerts: {repeat_every: "6h"}}'
    )
    assert parse(json.dumps(redacted(config))) == config


def test_secrets_from_file_environment_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("GATEWAY_TOKEN", "from-env")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    def token(rest: str) -> str | None:
        return parse(f'{{targets: [{{source: "gateway", {rest}}}]}}').targets[0].secret("token")

    assert token('token: "plain"') == "plain"
    assert token(f'token_file: "{tmp_path}/token"') == "from-file"
    assert token('token_file: "token"') == "from-file"
    assert token('token_env: "GATEWAY_TOKEN"') == "from-env"
    with pytest.raises(ConfigError, match="environment variable NOPE is not set"):
        token('token_env: "NOPE"')
    with pytest.raises(ConfigError, match="No such file"):
        token('token_file: "/nowhere/token"')


def test_where_the_configuration_is_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "openclaw-auth-exporter" / "config.json5"
    file.parent.mkdir()
    assert default_config_file({"XDG_CONFIG_HOME": str(tmp_path / "none")}) is None
    file.write_text("{}")
    assert default_config_file({"XDG_CONFIG_HOME": str(tmp_path)}) == file
    environ = {"OPENCLAW_AUTH_EXPORTER_CONFIG": "/x.json5", "XDG_CONFIG_HOME": str(tmp_path)}
    assert default_config_file(environ) == Path("/x.json5")
    assert default_config_file({"CONFIGURATION_DIRECTORY": str(file.parent)}) == file


def test_where_the_state_goes() -> None:
    assert default_state_dir(Config(), {"STATE_DIRECTORY": "/var/lib/a:/b"}) == Path("/var/lib/a")
    assert default_state_dir(Config(), {"XDG_STATE_HOME": "/s"}) == Path("/s/openclaw-auth-exporter")
    assert default_state_dir(parse('{state_dir: "/mine"}'), {"STATE_DIRECTORY": "/var/lib/a"}) == Path("/mine")


def test_a_file_that_cannot_be_read_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.json5")
    (tmp_path / "latin1.json5").write_bytes(b'{a: "\xe5"}')
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin1.json5")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_the_schema_names_every_source() -> None:
    text = json.dumps(schema())
    for source in ("openclaw", "store", "gateway", "claude", "auto"):
        assert f'"const": "{source}"' in text


def test_the_default_command_is_openclaw() -> None:
    target = parse('{targets: [{source: "openclaw"}]}').targets[0]
    assert isinstance(target, OpenClawTarget)
    assert (target.command, target.agents, target.timeout) == (["openclaw"], "all", 60.0)
