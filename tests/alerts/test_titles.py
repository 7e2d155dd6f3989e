"""The titles of messages: short, with the names whole, for any names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.test_text import CHECK_FAILED, EXPIRED, FIRST, RENEWED, REPEAT, STOCKHOLM, UNUSABLE, alert, message, over
from alerts.worlds import DAY, HOUR, NOW
from exporter.alerts.message import text
from exporter.alerts.values import AgentNote, Message, NotificationReason, ResolutionCause
from exporter.model import ConditionName


def test_title_of_a_group_names_the_new_critical_alert_whole() -> None:
    new = replace(
        alert(UNUSABLE, FIRST), profile="anthropic:the-token-of-a-team", target="rack7", cause="auth_permanent"
    )
    for others in range(1, 40):
        shown = text.render(message(*[alert(CHECK_FAILED, REPEAT)] * others, new), NOW).title
        assert shown.startswith("anthropic:the-token-of-a-team is unusable on rack7 · "), shown
        assert len(shown) <= text.TITLE


def test_time_of_day_stands_beside_a_near_date() -> None:
    near, far = (text.title(over(EXPIRED, RENEWED, deadline=NOW + days * DAY), NOW, STOCKHOLM) for days in (1, 3))
    assert near == "anthropic:default renewed until 2026-11-23 11:00 CET on home"
    assert far == "anthropic:default renewed until 2026-11-25 on home"


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        # An agent with its own credential; nothing is known of the others.
        ({"agents": ("work",)}, "anthropic:default has expired on home/work"),
        ({"agents": ("work",), "target": "local", "exporter": "rack7"}, "anthropic:default has expired on rack7/work"),
        ({"agents": ("main",)}, "anthropic:default has expired on home"),
        ({"agents": ("main",), "is_of_some": True}, "anthropic:default has expired on home/main"),
        ({"agents": ("main",), "notes": (AgentNote("work"),)}, "anthropic:default has expired on home/main"),
        ({"agents": ("main", "work")}, "anthropic:default has expired on home"),
        # Others are not affected.
        ({"agents": ("a", "b"), "notes": (AgentNote("c"),)}, "anthropic:default has expired on home (a, b)"),
        (
            {"agents": ("anton", "bertha", "caesar", "dora"), "notes": (AgentNote("c"),)},
            "anthropic:default has expired on home (4 agents)",
        ),
    ],
)
def test_title_names_the_agents_unless_all_are_meant(changes: dict[str, Any], title: str) -> None:
    assert text.title(replace(alert(EXPIRED, FIRST), **changes), NOW) == title


def test_title_names_the_agent_of_a_failing_check_and_of_an_end() -> None:
    assert text.title(replace(alert(CHECK_FAILED, FIRST), agents=("work",)), NOW).startswith("home/work ")
    assert text.title(over(EXPIRED, RENEWED, agents=("work",)), NOW).endswith("on home/work")


def test_date_that_has_no_room_is_left_out_and_not_cut() -> None:
    one = over(EXPIRED, RENEWED, profile="anthropic:the-token-of-a-team", deadline=NOW + 20 * HOUR)
    assert text.title(one, NOW, STOCKHOLM) == "anthropic:the-token-of-a-team renewed on home"


IDS = st.text(min_size=1, max_size=300)


@given(
    st.sampled_from(list(ConditionName)),
    st.sampled_from([reason for reason in NotificationReason if reason is not NotificationReason.TEST]),
    IDS,
    IDS,
    st.none() | st.floats(min_value=-1e18, max_value=1e18),
    st.sampled_from(list(ResolutionCause)),
)
def test_a_title_has_at_most_60_printable_characters_for_any_names(
    condition: ConditionName,
    reason: NotificationReason,
    profile: str,
    target: str,
    moment: float | None,
    resolution_cause: ResolutionCause,
) -> None:
    one = replace(
        alert(condition, reason),
        profile=profile,
        target=target,
        deadline=moment,
        since=moment,
        resolution_cause=resolution_cause,
    )
    shown = text.render(Message("phone", NOW, (one,)), NOW, STOCKHOLM)
    assert len(shown.title) <= text.TITLE
    assert shown.title.isprintable()
    assert all(line.isprintable() for line in shown.body.splitlines())
    assert len(shown.body) <= 8000


def test_long_names_keep_both_ends() -> None:
    one = replace(
        alert(ConditionName.EXPIRED, NotificationReason.FIRST),
        profile="anthropic:" + "x" * 60 + "-work",
        target="a-very-long-host-name-in-rack-7",
    )
    title = text.title(one, NOW)
    assert len(title) <= 60
    assert title.startswith("anthropic:")
    assert "-work has expired on" in title
    assert title.endswith("rack-7")
