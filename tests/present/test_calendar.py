"""Deadlines for a phone's calendar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from reports import agent, profile, report

from exporter.lib.durations import parse_date
from exporter.model import AgentReport, ProfileReport, command
from exporter.present.calendar import calendar

NOW = parse_date("2026-11-22T10:00:00Z")


def none(agent: AgentReport, profile: ProfileReport) -> tuple[float, ...]:
    return ()


def hour(agent: AgentReport, profile: ProfileReport) -> tuple[float, ...]:
    return (3600.0,)


def test_deadline_is_an_event_with_alarms() -> None:
    deadlines = report(agent(profile("anthropic:work; rest", expires_at=parse_date("2026-12-01T12:30:00Z"))))
    lines = calendar(deadlines, lambda agent, profile: (86400.0, 3600.0), NOW).split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert "DTSTART:20261201T123000Z" in lines
    assert "SUMMARY:anthropic:work\\; rest expires on home" in lines
    assert [line for line in lines if line.startswith("TRIGGER")] == ["TRIGGER:-PT86400S", "TRIGGER:-PT3600S"]
    assert lines[-2:] == ["END:VCALENDAR", ""]


def test_each_profile_has_its_own_alarms() -> None:
    two = report(agent(profile("a:1", expires_at=NOW + 60), profile("a:2", expires_at=NOW + 60)))
    text = calendar(two, lambda agent, profile: (60.0,) if profile.id == "a:2" else (), NOW)
    assert text.count("TRIGGER") == 1
    assert text.index("TRIGGER") > text.index("a:2")


def test_event_describes_the_remedy() -> None:
    deadlines = report(agent(profile("openai:me", expires_at=NOW + 60)))
    commands = ("openclaw models auth login --provider openai", "openclaw models status; true")
    steps = [command(line) for line in commands]
    text = calendar(deadlines, none, NOW, lambda agent, profile: steps).replace("\r\n ", "")
    description = next(line for line in text.split("\r\n") if line.startswith("DESCRIPTION:"))
    assert description == f"DESCRIPTION:openai for agent main\\n{commands[0]}\\nopenclaw models status\\; true"
    assert "DESCRIPTION:openai for agent main\r\n" in calendar(deadlines, none, NOW)


def test_profile_without_a_deadline_has_no_event() -> None:
    assert "VEVENT" not in calendar(report(agent(profile(expires_at=None))), hour, NOW)
    assert "VEVENT" not in calendar(report(agent(profile(expires_at=9e12))), hour, NOW)
    assert "VEVENT" not in calendar(report(agent(profile(expires_at=NOW + 60, ignored=True))), hour, NOW)


def test_shared_credential_is_one_event_that_moves_when_renewed() -> None:
    shared = profile(expires_at=NOW + 86400)._replace(secret_hash="h")
    text = calendar(report(agent(shared), agent(shared, agent="work")), none, NOW)
    assert text.count("BEGIN:VEVENT") == 1


@given(st.text())
def test_any_id_gives_valid_calendar_lines(name: str) -> None:
    text = calendar(report(agent(profile(name or "x", expires_at=NOW))), hour, NOW)
    lines = text.split("\r\n")
    assert all(len(line.encode()) <= 75 and line.isprintable() for line in lines)
    assert text.count("BEGIN:VEVENT") == text.count("END:VEVENT") == 1
