"""The configuration: defaults work, an example of every part is accepted, and a mistake gets a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from exporter.config import (
    AutoTarget,
    Config,
    ConfigError,
    OpenClawTarget,
    default_config_file,
    load,
    parse,
    redacted,
    schema,
    unreadable_secrets,
)

EXAMPLE = (Path(__file__).parents[1] / "data" / "example.json5").read_text(encoding="utf-8")


def test_no_configuration_at_all_works() -> None:
    config = load(None)
    assert config.targets == [AutoTarget(name="local")]
    assert (config.interval, config.web.listen) == (300.0, "127.0.0.1:10785")


def test_the_example_is_accepted() -> None:
    config = parse(EXAMPLE)
    assert [target.name for target in config.targets] == ["home", "vps", "rack7", "laptop", "old"]
    assert config.policy.of("vps", "main", "anthropic:default").issued_at == 1777593600.0
    assert config.policy.of("home", "main", "anthropic:work").alias == "work"
    assert config.policy.of("home", "main", "anthropic:default").issued_at is None


def test_a_remote_target_is_checked_hourly_by_default() -> None:
    config = parse('{interval: "1m", targets: [{name: "a", source: "openclaw", ssh: "me@vps"}, {name: "b"}]}')
    assert [config.interval_of(target) for target in config.targets] == [3600.0, 60.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{targets: [{sorce: "store"}]}', "targets[0].sorce: unknown key; did you mean 'source'?"),
        ('{intervall: "5m"}', "intervall: unknown key; did you mean 'interval'?"),
        ('{interval: "5 parsecs"}', "interval: '5 parsecs' is no duration"),
        ("{interval: 5}", "interval: write a duration with its unit"),
        ('{interval: "0.5s"}', "interval: must be at least 1s"),
        ("{interval: 300.5}", "interval: write a duration with its unit"),
        ("{interval: Infinity}", "interval: write a duration with its unit"),
        ('{interval: "99999999y"}', "interval: '99999999y' is too long"),
        ('{targets: [{timeout: "2h"}]}', "targets[0].timeout: must be at most 1h"),
        ('{targets: [{timeout: "0s"}]}', "targets[0].timeout: must be more than 0s"),
        ('{targets: [{source: "stor"}]}', "targets[0].source: unknown source; did you mean 'store'?"),
        ('{targets: [{source: "shell"}]}', "targets[0].source: unknown source; known: auto, claude, gateway"),
        ('{channels: [{name: "a", type: "nfty"}]}', "channels[0].type: unknown type; did you mean 'ntfy'?"),
        (
            '{channels: [{name: "a", type: "ntfy", topic: "t", quiet_hours: '
            '{from: "22:00", to: "07:00", timezone: "Europe/Stokholm"}}]}',
            "channels[0].quiet_hours.timezone: 'Europe/Stokholm' is not a time zone: did you mean 'Europe/Stockholm'?",
        ),
        ('{targets: [{source: "openclaw", agents: []}]}', 'targets[0].agents: write "all" or a list of agent ids'),
        ('{targets: [{name: "a"}, {name: "a"}]}', "targets: two are named 'a'"),
        ('{targets: [{name: "a/b"}]}', "targets[0].name: "),
        ("{targets: []}", "targets: must not be empty"),
        ("{targets: {}}", "targets: must be a list: [ … ]"),
        ('{targets: ["a"]}', "targets[0]: must be an object: { … }"),
        ("{targets: [{source: 5}]}", "targets[0].source: unknown source; known: auto, claude, gateway"),
        ('{targets: [{}, {}, {source: "claude", coman: 1}]}', "targets[2].coman: unknown key; did you mean 'command'?"),
        (
            '{targets: [{command: ["openclaw"]}]}',
            "targets[0].command: unknown key; did you mean 'command' of source \"claude\" or \"openclaw\"?",
        ),
        ('{targets: [{comand: ["x"]}]}', "targets[0].comand: unknown key; did you mean 'command' of source"),
        ('{targets: [{sssh: "me@vps"}]}', "targets[0].sssh: unknown key; did you mean 'ssh' of source \"openclaw\"?"),
        ('{targets: [{schedule: "no"}]}', "targets[0].schedule: must be true or false"),
        ('{targets: [{source: "openclaw", command: "openclaw"}]}', "targets[0].command: must be a list"),
        ('{targets: [{source: "openclaw", command: [1]}]}', "targets[0].command[0]: must be text, in quotes"),
        ('{targets: [{source: "gateway", url: "rack7"}]}', "targets[0].url: write it like \"http://127.0.0.1:18789\""),
        ('{alerts: {confirm_checks: "2"}}', "alerts.confirm_checks: must be a whole number"),
        ('{channels: [{name: "x"}]}', "channels[0]: type is missing"),
        ('{channels: [{name: "x", type: "ntfy"}]}', "channels[0]: topic is missing: write topic, topic_file"),
        ('{channels: [{name: "x", type: "webhook", url: ""}]}', "channels[0]: url is missing: write url"),
        ('{channels: [{name: "x", type: "apprise"}]}', "channels[0]: url is missing"),
        ('{heartbeat: {every: "5m"}}', "heartbeat: url is missing"),
        (
            '{channels: [{name: "x", type: "webhook", url: "y", secret: "a", secret_file: "b"}]}',
            "channels[0]: secret and secret_file are both set",
        ),
        (
            '{channels: [{name: "x", type: "termux", topic: "y"}]}',
            "channels[0].topic: unknown key; did you mean 'topic' of type \"ntfy\"?",
        ),
        (
            '{channels: [{name: "x", type: "termux", quiet_hours: {from: "24:00", to: "07:00"}}]}',
            'channels[0].quiet_hours.from: write a time of day like "22:00"',
        ),
        ('{channels: [{name: "x", type: "termux", min_severity: "bad"}]}', "channels[0].min_severity: must be 'info'"),
        (
            '{channels: [{name: "x", type: "termux", match: {provider: "("}}]}',
            "channels[0].match: provider: is no regular expression: missing ), unterminated subpattern",
        ),
        (
            '{channels: [{name: "x", type: "termux", match: {profile: "anthropic:([a-z0-9]+-?)+"}}]}',
            "channels[0].match: profile: has a repeat inside a repeat, which takes too long: write one repeat of all",
        ),
        (
            '{channels: [{name: "x", type: "termux", match: {owner: "(dev|prod)+"}}]}',
            "channels[0].match: owner: has alternatives inside a repeat, which takes too long: write a class",
        ),
        (
            '{channels: [{name: "x", type: "termux", match: {severity: "x"}}]}',
            "channels[0].match: no label may be named 'severity'",
        ),
        ('{channels: [{name: "x", type: "termux", match: {provider: ["a"]}}]}', "channels[0].match: provider: write a"),
        ('{targets: [{labels: {target: "a"}}]}', "targets[0].labels: no label may be named 'target'"),
        ('{targets: [{labels: {"a-b": "a"}}]}', "targets[0].labels: the name of a label has letters, digits and"),
        ('{targets: [{labels: {owner: 1}}]}', "targets[0].labels: owner: write text of at most 200"),
        ('{targets_from: [{type: "http", url: "http://10.0.0.1/"}]}', "targets_from[0].url: write an https url"),
        (
            '{targets_from: [{type: "file", paths: ["x"], defaults: {url_match: "("}}]}',
            "targets_from[0].defaults.url_match: is no regular expression",
        ),
        (
            '{targets_from: [{type: "file", paths: ["x"], defaults: {url_match: "http://(a+)+:18789"}}]}',
            "targets_from[0].defaults.url_match: has a repeat inside a repeat, which takes too long: write one repeat",
        ),
        ('{targets_from: [{type: "file", paths: ["*/x.json"]}]}', "targets_from[0].paths: */x.json: only the last"),
        ("{policy: {profiles: {x: {issued_at: 2026}}}}", "policy.profiles.x.issued_at: write a date like"),
        ('{policy: {profiles: {x: {issued_at: "1969-12-31"}}}}', "policy.profiles.x.issued_at: '1969-12-31' is before"),
        (
            "{web: {nonsense: 1}}",
            "web.nonsense: unknown key; known: config_file, external_url, hosts, listen, metric_labels, reauth, ",
        ),
        ('{channels: [{name: "x", type: "ntfy", topc: "y"}]}', "channels[0].topc: unknown key; did you mean 'topic'?"),
        ('{alerts: {order: ["x"]}}', "alerts.order: there is no channel named 'x'"),
        ('{web: {listen: "10785"}}', "web.listen: '10785' is not an address"),
        ('{web: {listen: ["127.0.0.1:10785", "10785"]}}', "web.listen: '10785' is not an address"),
        ("{web: {listen: []}}", "web.listen: write at least one address"),
        ('{web: {metric_labels: ["kind"]}}', "web.metric_labels: 'kind' cannot be added to metrics"),
        ('{web: {metric_labels: ["target"]}}', "web.metric_labels: 'target' cannot be added to metrics"),
        ('{web: {metric_labels: ["a-b"]}}', "web.metric_labels: the name of a label has letters, digits and"),
        ('{web: {metric_labels: ["a", "a"]}}', "web.metric_labels: 'a' is there twice: write it once"),
        (
            '{web: {metric_labels: ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}}',
            "web.metric_labels: write at most 8 labels: each is repeated in every series",
        ),
        ("{web: {reauth: true}}", "web: reauth needs a token to sign in with: set token_file"),
        ('{web: {tls: {cert_file: "a"}}}', "web.tls: cert_file and key_file need each other"),
        ("{policy: {providers: {zai: {}}}}", "policy.providers.zai: it has no key: write credential"),
        ('{policy: {targets: {home: {credential: "none"}}}}', "policy.targets.home.credential: unknown key"),
        ('{policy: {profiles: {x: {alis: "y"}}}}', "policy.profiles.x.alis: unknown key; did you mean 'alias'?"),
        ('{policy: {profiles: {x: {expires_at: "soon"}}}}', "policy.profiles.x.expires_at: 'soon' is no date"),
        ('{targets: [{source: "gateway", token: "a", token_file: "b"}]}', "targets[0]: token and token_file are both"),
        ('{targets: [{source: "openclaw", ssh: "-oProxyCommand=x"}]}', "targets[0].ssh: "),
        ('{"web": {"a": 1, "a": 2}}', "is not JSON5: the key 'a' appears twice in one object"),
        ("{web: {a: 1, a: 2}}", "is not JSON5: the key 'a' appears twice in one object"),
        ("", "is empty: write {}"),
        ("// nothing\n", "is not JSON5: line 2"),
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


def test_show_redacts_the_user_part_of_urls() -> None:
    config = parse(
        """{targets: [{source: "gateway", url: "https://me:PLANTED@rack7:18789/x"}],
        channels: [{name: "am", type: "alertmanager", urls: ["http://PLANTED:PLANTED@am:9093"]}]}"""
    )
    shown = redacted(config)
    assert shown["targets"][0]["url"] == "https://<secret>@rack7:18789/x"
    assert shown["channels"][0]["urls"] == ["http://<secret>@am:9093"]


def test_the_shown_configuration_can_be_read_again() -> None:
    config = parse(
        """{interval: "1234567.25s", policy: {profiles: {"a": {expires_at: "2026-03-01", issued_at: null}}},
        alerts: {repeat_every: "6h", group_wait: "1ms"}}"""
    )
    assert parse(json.dumps(redacted(config))) == config
    shown = redacted(parse(EXAMPLE))
    assert shown["policy"]["profiles"]["anthropic:work"]["issued_at"] == "2026-03-01T00:00:00Z"
    assert parse(json.dumps(shown)).targets == parse(EXAMPLE).targets


def test_secrets_from_file_environment_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("GATEWAY_TOKEN", "from-env\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    def token(rest: str) -> str | None:
        return parse(f'{{targets: [{{source: "gateway", {rest}}}]}}').targets[0].read_secret("token")

    assert token('token: "plain"') == "plain"
    assert token(f'token_file: "{tmp_path}/token"') == "from-file"
    assert token('token_file: "token"') == "from-file"
    assert token('token_env: "GATEWAY_TOKEN"') == "from-env"
    assert token('token: "", token_env: "GATEWAY_TOKEN"') == "from-env"
    assert token('token: ""') == ""
    assert token("agents: 'all'") is None
    with pytest.raises(ConfigError, match="environment variable NOPE is not set"):
        token('token_env: "NOPE"')
    with pytest.raises(ConfigError, match="No such file"):
        token('token_file: "/nowhere/token"')


def test_unreadable_secrets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_text("x")
    monkeypatch.delenv("NOPE", raising=False)
    config = parse(
        f"""{{targets: [{{}}, {{name: "g", source: "gateway", token_file: "{tmp_path}/none"}}],
        channels: [{{name: "h", type: "webhook", url_file: "{tmp_path}/there", secret_env: "NOPE"}}],
        web: {{token_file: "{tmp_path}"}}}}"""
    )
    assert unreadable_secrets(config) == [
        f"targets[1].token_file: {tmp_path}/none: No such file or directory",
        "channels[0].secret_env: the environment variable NOPE is not set",
        f"web.token_file: {tmp_path}: Is a directory: put a regular file there",
    ]
    assert unreadable_secrets(Config()) == []


def test_the_search_order_of_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "openclaw-auth-exporter" / "config.json5"
    file.parent.mkdir()
    assert default_config_file({"XDG_CONFIG_HOME": str(tmp_path / "none")}) is None
    file.write_text("{}")
    assert default_config_file({"XDG_CONFIG_HOME": str(tmp_path)}) == file
    environ = {"OPENCLAW_AUTH_EXPORTER_CONFIG": "/x.json5", "XDG_CONFIG_HOME": str(tmp_path)}
    assert default_config_file(environ) == Path("/x.json5")
    assert default_config_file({"CONFIGURATION_DIRECTORY": str(file.parent)}) == file


def test_a_forbidden_directory_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json5").write_text("{}")
    closed = tmp_path / "closed" / "openclaw-auth-exporter" / "config.json5"
    real_stat = Path.stat

    def stat(path: Path, **rest: bool) -> os.stat_result:
        if path == closed:
            raise PermissionError
        return real_stat(path, **rest)

    monkeypatch.setattr(Path, "stat", stat)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "closed")}
    assert default_config_file(environ) == closed
    environ["CONFIGURATION_DIRECTORY"] = f"{tmp_path}/none:{tmp_path}/mine"
    assert default_config_file(environ) == tmp_path / "mine" / "config.json5"


def test_the_search_order_of_the_state_directory() -> None:
    assert Config().state_directory({"STATE_DIRECTORY": "/var/lib/a:/b"}) == Path("/var/lib/a")
    assert Config().state_directory({"XDG_STATE_HOME": "/s"}) == Path("/s/openclaw-auth-exporter")
    assert parse('{state_dir: "/mine"}').state_directory({"STATE_DIRECTORY": "/var/lib/a"}) == Path("/mine")


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
