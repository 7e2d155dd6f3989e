"""The commands know the targets of lists."""

from __future__ import annotations

import json

from command_line import CommandLine


def write(cli: CommandLine, text: str) -> None:
    (cli.config.parent / "targets.json").write_text(text)


def configure(cli: CommandLine, **defaults: object) -> None:
    entry = {"type": "file", "paths": ["targets.json"], "defaults": defaults}
    cli.config.write_text(json.dumps({"targets_from": [entry], "state_dir": str(cli.config.parent / "state")}))


def test_config_check_counts_listed_targets_and_warns_of_unbounded_tokens(cli: CommandLine) -> None:
    write(cli, json.dumps([{"targets": [f"http://10.0.0.{n}" for n in range(1, 25)]}]))
    configure(cli, token="a-token-of-some-length")
    ran = cli("config", "check")
    assert "valid; 24 targets (10.0.0.1, " in ran.stdout
    assert ran.stdout.endswith(" and 4 more)\n")
    assert "warning: targets_from[0].defaults.url_match is not set: whoever writes the list decides" in ran.stderr
    configure(cli, token="a-token-of-some-length", url_match="http://10[.]0[.]0[.][0-9]+")
    assert "url_match" not in cli("config", "check").stderr
    configure(cli)
    assert "url_match" not in cli("config", "check").stderr


def test_list_that_was_never_good_is_a_mistake_of_the_configuration(cli: CommandLine) -> None:
    configure(cli)
    ran = cli("check")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "no such file or directory: no good version of it is known" in ran.stderr


def test_check_goes_on_with_the_last_good_list_and_warns(cli: CommandLine) -> None:
    write(cli, '[{"name": "rack1", "url": "http://127.0.0.1:9"}]')
    configure(cli)
    first = cli("check", "--json")
    write(cli, "[")
    ran = cli("check", "--json")
    assert [target["name"] for target in json.loads(ran.stdout)["targets"]] == ["rack1"]
    assert ran.returncode == first.returncode == 1
    assert "its last good version stays (1 target)" in ran.stderr
