"""The HTML pages: the status page, the sign-in form, and the page behind a notification's button.

They show a Report and decide nothing. They use no script and load nothing from elsewhere: the Content-Security-Policy
allows only the hash of the one inline style sheet.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from exporter.lib.durations import in_words, iso
from exporter.lib.zones import in_zone
from exporter.model import AgentReport, ProfileReport, Report, TargetReport
from exporter.present.as_json import encodable
from exporter.present.words import visible

#: How many profiles a page shows, so that a phone can load it. The API has all.
MAX_PROFILES = 500
#: How many alerts a page shows, the worst first.
MAX_ALERTS = 50

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def answer(html: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page as a response, with the policy that allows its style."""
    return HTMLResponse(html, status, {"Content-Security-Policy": _POLICY, **(headers or {})})


def status_page(
    report: Report,
    csrf: str | None = None,
    can_log_in: bool = False,
    now: float | None = None,
    notifications: Mapping[str, Any] | None = None,
    zone: dt.tzinfo = dt.UTC,
) -> str:
    """The status page, with times in ``zone``. With the ``csrf`` token of a session it has buttons.

    ``now`` is in Unix seconds.
    ``notifications`` is the status of channels and alerts, as in the status API. None if no channel is configured.
    """
    targets = sorted(report.targets, key=_urgency)  # stable: equals stay in the configured order
    return (
        _environment()
        .get_template("status.html")
        .render(
            report=report,
            now=time.time() if now is None else now,
            targets=_bounded(targets),
            hidden=sum(len(agent.profiles) for target in targets for agent in target.entries) - MAX_PROFILES,
            checked=any(target.entries for target in targets),
            csrf=csrf,
            can_log_in=can_log_in,
            notifications=notifications,
            zone=zone,
        )
    )


def action_page(title: str, text: str, button: str | None = None) -> str:
    """The page that a button in a notification opens. Without ``button`` it only reports."""
    return _environment().get_template("action.html").render(title=title, text=text, button=button, home="../")


def login_page(problem: str | None = None) -> str:
    """The sign-in form, with the problem of the last attempt."""
    return _environment().get_template("login.html").render(problem=problem)


def _urgency(target: TargetReport) -> int:
    return {1: 0, 2: 1, 0: 2}[target.exit_code] if target.entries else 3


_Agents = list[tuple[TargetReport, list[tuple[AgentReport, list[tuple[ProfileReport, str]]]]]]


def _bounded(targets: list[TargetReport]) -> _Agents:
    """Each target's agents with their profiles and colours, worst first, at most MAX_PROFILES profiles in all."""
    left = MAX_PROFILES
    shown: _Agents = []
    for target in targets:
        agents = []
        for agent in target.entries:
            colours = _colours(agent)
            profiles = [(profile, _colour(profile, colours)) for profile in agent.profiles]
            profiles.sort(key=lambda pair: _COLOURS.index(pair[1]))
            agents.append((agent, profiles[:left]))
            left -= len(profiles[:left])
        shown.append((target, agents))
    return shown


_COLOURS = ("critical", "warning", "info", "ok")


def _colours(agent: AgentReport) -> dict[str | None, str]:
    """The colour of each profile that has a condition: its worst severity."""
    ranked = sorted(agent.conditions, key=lambda condition: condition.severity.rank)
    return {condition.profile: condition.severity.value for condition in ranked}


def _colour(profile: ProfileReport, colours: Mapping[str | None, str]) -> str:
    without_condition = "ok" if profile.status in ("ok", "static") and profile.unusable is None else "info"
    return colours.get(profile.id, without_condition)


@pass_context
def _plain(context: Context, text: str) -> str:
    """Bounded, without characters that reorder or hide the text around it, and with times in the page's zone."""
    return in_zone(visible(text, 300), context.get("zone", dt.UTC))


def _command(text: str) -> str:
    return visible(text, 2000)  # whole: a user copies it into a shell


@pass_context
def _when(context: Context, seconds: float) -> str:
    """The absolute time and its distance from the page's ``now``."""
    moment, now = iso(seconds), context["now"]
    if moment is None:
        return "an invalid date" if not seconds > 0 else "a date after the year 9999"
    distance = f"in {in_words(seconds - now)}" if seconds >= now else f"{in_words(now - seconds)} ago"
    return f"{in_zone(moment, context['zone'])}, {distance}"


@pass_context
def _moment(context: Context, text: str) -> str:
    """The filter ``when`` for a time as the API writes it."""
    return _when(context, dt.datetime.fromisoformat(text).timestamp())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=_plain, command=_command, when=_when, moment=_moment, encodable=encodable)
    environment.globals.update(
        style=Markup(_STYLE),
        worst_first=lambda conditions: sorted(conditions, key=lambda condition: -condition.severity.rank),
    )
    return environment
