"""The HTML pages: the status page, the sign-in form, and the page behind a notification's button.

They show a Report and decide nothing. They load nothing from elsewhere, and work without their scripts: the
Content-Security-Policy allows only the hashes of the inline style sheet and of the page's script.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from exporter.alerts.delivery.about import MessageFilter, SentAlert
from exporter.alerts.lifecycle.policy import Renew, no_steps
from exporter.lib.durations import in_words, iso
from exporter.lib.zones import TIME_IN_UTC, in_zone
from exporter.model import Report, Severity, Status, Step, TargetReport
from exporter.model.renewals import RenewalSubject
from exporter.present.as_json import encodable
from exporter.present.attention import Attention, attention, clock
from exporter.present.explanation import Alerts, explain
from exporter.present.shared import SharedProfile, shared_profiles
from exporter.present.style import Style
from exporter.present.words import visible
from exporter.state.day_history import Key
from exporter.web import cards
from exporter.web.icons import icon

#: How many credentials that need nobody a page lists, so that a phone can load it. The filter finds the others.
MAX_ROWS = 1000
#: How many cases are shown as cards, and targets in a list; the worst first.
MAX_CARDS, MAX_TARGETS = 20, 20
#: How many histories one card shows.
MAX_STRIPS = 3
#: How many alerts a page knows, and how many it lists that no card is about; the worst first.
MAX_ALERTS, MAX_OTHER_ALERTS = 100, 10
#: How many characters of an explanation are shown.
MAX_EXPLANATION = 200_000
#: How many characters of a filter count.
MAX_FILTER = 200

_TEMPLATES = Path(__file__).parent / "templates"
_BARS = "".join(f".b{percent}{{--w:{percent}%}}" for percent in range(101))
_STYLE = (_TEMPLATES / "style.css").read_text(encoding="utf-8") + _BARS
_COPY = (_TEMPLATES / "copy.js").read_text(encoding="utf-8")
_PRESS = (_TEMPLATES / "press.js").read_text(encoding="utf-8")
_SCRIPT = _PRESS + (_TEMPLATES / "page.js").read_text(encoding="utf-8") + _COPY
#: The script that follows a renewal.
FOLLOW = _PRESS + (_TEMPLATES / "follow.js").read_text(encoding="utf-8") + _COPY


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


@cache
def _policy(script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(script)}; connect-src 'self'; "
        "manifest-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def answer(
    html: str, status: int = 200, headers: Mapping[str, str] | None = None, *, script: str = _SCRIPT
) -> Response:
    """A page as a response, with the policy that allows its style and its script."""
    return HTMLResponse(html, status, {"Content-Security-Policy": _policy(script), **(headers or {})})


#: Reads the letters of the last days of credentials.
Days = Callable[[list[Key]], Mapping[Key, str]]


class Row(NamedTuple):
    """A credential that needs nobody, as the page lists it."""

    id: str
    name: str
    shared: SharedProfile
    tone: str
    word: str  # its status; empty if it is simply fine
    bar: int

    @property
    def agents(self) -> tuple[str, ...]:
        return self.shared.agents

    @property
    def provider(self) -> str:
        """The provider; empty if the id begins with it, as most do."""
        provider = self.shared.profile.provider
        return "" if self.shared.profile.id.startswith(provider) else provider


def status_page(
    report: Report,
    csrf: str | None = None,
    can_log_in: bool = False,
    now: float | None = None,
    notifications: Mapping[str, Any] | None = None,
    zone: dt.tzinfo = dt.UTC,
    query: str = "",
    silences: Sequence[Mapping[str, Any]] = (),
    days: Days = lambda keys: {},
    renew: Renew = no_steps,
    renews: bool = False,
) -> str:
    """The status page, with times in ``zone``. With the ``csrf`` token of a session it has buttons.

    ``now`` is in Unix seconds. ``query`` limits it to what contains all of its words. ``renews``: it has links that
    renew a credential.
    ``notifications`` is the status of channels and alerts, as in the status API. None if no channel is configured.
    ``silences`` are those in effect, as in the API. ``days`` reads the history of credentials.
    ``renew`` has the steps that renew a profile that still works.
    """
    now = time.time() if now is None else now
    found, words = attention(report, now), query[:MAX_FILTER].lower().split()
    by_provider: dict[tuple[str, str], list[SharedProfile]] = {}
    for shared in found.credentials:
        by_provider.setdefault((shared.target, shared.profile.provider), []).append(shared)
    cases = [case for case in found.cases if _has(words, case.subject, case.provider or "", case.target, *case.agents)]
    alerts = notifications["alerts"] if notifications else []

    def renewal(shared: SharedProfile) -> tuple[Step, ...]:
        places = (agent for target in report.targets for agent in target.agents if target.target == shared.target)
        owner = next((agent for agent in places if agent.agent in shared.agents), None)
        return renew(owner, shared.profile) if owner is not None else ()

    shown = cards.cards_of(cases[:MAX_CARDS], alerts, by_provider, renewal)
    rest = [_row(one, now, "not seen now") for one in found.unseen] + [_row(one, now) for one in found.fine]
    rest = [row for row in rest if _has(words, row.name, row.shared.profile.provider, row.shared.target, *row.agents)]
    in_cards = {card.alert["fingerprint"] for card in shown if card.alert is not None}
    other_alerts = [alert for alert in alerts if alert["fingerprint"] not in in_cards]
    firing = notifications["firing"] if notifications else 0
    targets = sorted(report.targets, key=_urgency)  # stable: equals stay in the configured order
    tone, title = _verdict(report, found)
    return (
        _environment()
        .get_template("status.html")
        .render(
            now=now,
            zone=zone,
            checked_at=report.checked_at,
            checked=any(target.entries for target in targets),
            tone=tone,
            title=title,
            parts=[*[("Nothing needs you", None)] * (not found.cases), *found.parts()],
            query=query[:MAX_FILTER],
            cards=shown,
            strips=_strips([one for card in shown for one in card.about[:MAX_STRIPS]], days),
            more_cards=len(cases) - len(shown),
            rows=rest[:MAX_ROWS],
            more_rows=len(rest) - MAX_ROWS,
            fine=len(found.fine),
            unseen=len(found.unseen),
            targets=targets[:MAX_TARGETS],
            more_targets=len(targets) - MAX_TARGETS,
            csrf=csrf,
            can_log_in=can_log_in,
            notifications=notifications,
            silences=silences,
            other_alerts=other_alerts[:MAX_OTHER_ALERTS],
            more_alerts=max(0, firing - len(in_cards) - MAX_OTHER_ALERTS),
            renews=renews,
        )
    )


def find(report: Report, id: str = "", target: str = "") -> tuple[MessageFilter, SharedProfile | None] | None:
    """What to explain: a credential by the ``id`` in the page's links, or a target. None if it is gone."""
    if not id:
        return (MessageFilter(target), None) if any(each.target == target for each in report.targets) else None
    shared = next((one for one in shared_profiles(report) if cards.profile_id(one) == id), None)
    return (MessageFilter(*cards.day_key(shared)), shared) if shared is not None else None


def explanation_page(
    report: Report,
    wanted: MessageFilter,
    shared: SharedProfile | None,
    alerts: Alerts | None = None,
    now: float | None = None,
    zone: dt.tzinfo = dt.UTC,
    days: Days = lambda keys: {},
    messages: tuple[Sequence[SentAlert], Sequence[str]] | None = None,
) -> str:
    """What ``explain`` prints about a credential or target, its last days, and the messages about it.

    ``messages`` are those that were sent, and a line for each to come; None if no channel is configured.
    """
    now = time.time() if now is None else now
    about = tuple(each for each in report.targets if each.target == wanted.target)
    text = explain(Report(report.checked_at, about), wanted.profile, now, alerts, Style(zone=zone))
    title = wanted.target if shared is None else f"{_name(shared)} on {wanted.target}"
    return (
        _environment()
        .get_template("explain.html")
        .render(
            title=visible(title, 200),
            text=text[:MAX_EXPLANATION],
            zone=zone,
            now=now,
            strips=_strips([shared] if shared is not None else [], days),
            sent=messages[0] if messages is not None else None,
            expected=messages[1] if messages is not None else (),
        )
    )


def action_page(title: str, text: str, button: str | None = None) -> str:
    """The page that a button in a notification opens. Without ``button`` it only reports."""
    return _environment().get_template("action.html").render(title=title, text=text, button=button, home="../")


def login_page(problem: str | None = None, renew: RenewalSubject | None = None) -> str:
    """The sign-in form, with the problem of the last attempt. With ``renew`` it leads to that renewal."""
    return render("login.html", problem=problem, renew=renew)


def render(template: str, zone: dt.tzinfo = dt.UTC, **fields: object) -> str:
    """A page, with the times in its sentences in ``zone``."""
    return _environment().get_template(template).render(zone=zone, **fields)


def _strips(credentials: Sequence[SharedProfile], days: Days) -> dict[str, cards.Strip]:
    """By the id of the credential."""
    known = days([cards.day_key(shared) for shared in credentials])
    keyed = ((shared, known.get(cards.day_key(shared))) for shared in credentials)
    return {cards.profile_id(shared): cards.Strip.of(shared, letters) for shared, letters in keyed if letters}


def _has(words: Sequence[str], *texts: str) -> bool:
    return not words or all(word in " ".join(texts).lower() for word in words)


def _name(shared: SharedProfile) -> str:
    profile = shared.profile
    return profile.id if profile.label == profile.id else f"{profile.id} ({profile.label})"


def _verdict(report: Report, found: Attention) -> tuple[str, str]:
    """The colour of the page, and its title."""
    if not any(target.entries for target in report.targets):
        return "info", "The first check has not finished yet"
    match report.exit_code:
        case 1 if found.only_recovers:
            return "warning", "Replies fail now"
        case 1:
            return "critical", "Someone must act now"
        case 2:
            return "warning", "Someone must act soon"
        case _:
            return "ok", "Something is due this week" if found.cases else "Nothing to do"


def _urgency(target: TargetReport) -> int:
    return {1: 0, 2: 1, 0: 2}[target.exit_code] if target.entries else 3


def _row(shared: SharedProfile, now: float, word: str = "") -> Row:
    profile = shared.profile
    is_fine = profile.status in (Status.OK, Status.STATIC) and profile.unusable is None and shared.severity is None
    if not is_fine or word:
        word = word or (profile.unusable.kind if profile.unusable else profile.status.value)
    severity = shared.severity or Severity.INFO
    tone = "info" if severity is Severity.INFO else "warning"
    return Row(cards.profile_id(shared), _name(shared), shared, tone, word, cards.bar(profile.expires_at, now))


# --- filters -------------------------------------------------------------------------------


@pass_context
def _plain(context: Context, text: str) -> Markup:
    """Bounded, without characters that reorder or hide the text around it, and with times in the page's zone."""
    return _with_times(visible(text, 600), context.get("zone", dt.UTC))


def _with_times(text: str, zone: dt.tzinfo) -> Markup:
    parts, end = [], 0
    for found in TIME_IN_UTC.finditer(text):
        local = in_zone(found[0], zone)
        stamp = f"{found[1]}T{found[2]}Z"
        parts += [escape(text[end : found.start()]), Markup("<time datetime={}>{}</time>").format(stamp, local)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


#: What a shell reads as one word, with the option before it.
_WORD = re.compile(r"(?:--?[A-Za-z][\w-]* )?(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+|['\"]")
_OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*(?: [^\s-]\S*)?")  # with its value


def _command(text: str) -> Markup:
    """A command whose words a browser does not break: an option stays with its value."""
    return _unbroken(visible(text, 2000), _WORD)  # whole: a user copies it into a shell


def _explained(text: str) -> Markup:
    """An explanation in which a browser does not break the options of commands."""
    return _unbroken(text, _OPTION)


def _unbroken(text: str, pattern: re.Pattern[str]) -> Markup:
    parts, end = [], 0
    for found in pattern.finditer(text):
        parts += [escape(text[end : found.start()]), Markup("<span>{}</span>").format(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


@pass_context
def _when(context: Context, seconds: float) -> Markup:
    """The absolute time, which the script shows in the reader's own zone."""
    moment = iso(seconds)
    if moment is None:
        return Markup("an invalid date" if not seconds > 0 else "a date after the year 9999")
    return _with_times(moment, context["zone"])


@pass_context
def _clock(context: Context, seconds: float) -> Markup:
    """Only the time of day if it is today, in the zone of the page and then of the script."""
    moment = iso(seconds)
    text = clock(seconds, context["now"], context["zone"])
    return Markup('<time class="clock" datetime="{}">{}</time>').format(moment, text) if moment else escape(text)


@pass_context
def _left(context: Context, seconds: float) -> str:
    """How far away a time is from the page's ``now``."""
    now = context["now"]
    if iso(seconds) is None:
        return ""
    return f"in {in_words(seconds - now)}" if seconds >= now else f"{in_words(now - seconds)} ago"


@pass_context
def _moment(context: Context, text: str) -> Markup:
    """The filter ``when`` for a time as the API writes it."""
    moment: Markup = _when(context, dt.datetime.fromisoformat(text).timestamp())
    return moment


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=_plain,
        command=_command,
        explained=_explained,
        when=_when,
        clock=_clock,
        left=_left,
        moment=_moment,
        encodable=encodable,
        visible=visible,
    )
    environment.globals.update(
        style=Markup(_STYLE),
        script=Markup(_SCRIPT),
        follow=Markup(FOLLOW),
        actions_of=cards.actions_of,
        alert_actions=cards.alert_actions,
        bar=cards.bar,
        icon=icon,
    )
    return environment
