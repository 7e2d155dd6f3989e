"""``config``: validate and show the configuration."""

from __future__ import annotations

import json

from command_line import CommandLine


def test_config_commands(cli: CommandLine) -> None:
    assert cli("config", "check").stdout == f"{cli.config}: valid; 1 target (home)\n"
    assert json.loads(cli("config", "show").stdout)["interval"] == "5m"
    assert json.loads(cli("config", "schema", with_config=False).stdout)["type"] == "object"
