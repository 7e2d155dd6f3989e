"""``textfile``: one check for node_exporter."""

from __future__ import annotations

from command_line import DAY, CommandLine


def test_the_file_is_replaced_as_a_whole(cli: CommandLine) -> None:
    cli.paste(90 * DAY)
    output = cli.home / "openclaw.prom"
    output.write_text("old")
    assert cli("textfile", "--output", str(output)).returncode == 0
    text = output.read_text()
    assert "openclaw_auth_profile_expiry_timestamp_seconds" in text
    assert "_total" not in text
    assert sorted(path.name for path in cli.home.iterdir()) == ["config.json5", "openclaw.prom", "state", "world.json"]
    assert output.stat().st_mode & 0o777 == 0o644
    assert cli("textfile", "--output", str(cli.home / "none" / "x.prom")).returncode == 73
