"""The status page: what it shows first, how it is bounded, and that nothing in a report becomes markup."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fake_daemon import TOKEN, FakeDaemon, ask, hashed
from hypothesis import HealthCheck, given, settings
from reports import DAY, EXAMPLES, HOUR, NOW, PASTE, SECRET, agent, profile, report, reports

from exporter.model import (
    Condition,
    ConditionName,
    Report,
    Severity,
    Status,
    Step,
    StepAction,
    StepKind,
    TargetReport,
    Unusable,
    command,
)
from exporter.web import page


class Seen(HTMLParser):
    """Parses a page like a browser: its elements, and its text without that of styles and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.pieces.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open.append("")

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def words(self) -> str:
        """The text with one space between words, also where only elements part them."""
        return re.sub(r"\s+", " ", " ".join(self.pieces)).replace(" .", ".").replace(" ,", ",")


def seen(shown: Report, **keys: Any) -> Seen:
    return Seen(page.status_page(shown, now=NOW, **keys))


def leads(html: str) -> list[str]:
    """The first sentence of each card."""
    return [re.sub(r"<[^>]+>", "", lead) for lead in re.findall(r'<p class="lead">(.*?)</p>', html)]


def wait(until: float) -> Step:
    return Step(StepKind.WAIT, f"Wait until {until}.", action=StepAction.READ)


def outage(reason: str, *steps: Step) -> Report:
    """The only credential cannot be used for another hour."""
    down = profile(unusable=Unusable("cooldown", reason, NOW + HOUR), usable=False)
    nothing = Condition(ConditionName.NO_USABLE_PROFILE, Severity.CRITICAL, "anthropic", None, "None works.", steps)
    return report(agent(down, exit_code=1, conditions=(nothing,)))


# --- what comes first ----------------------------------------------------------------------------


def test_first_line_says_what_needs_someone_and_when() -> None:
    expired = Condition(ConditionName.EXPIRED, Severity.CRITICAL, "anthropic", "anthropic:old", deadline=NOW - HOUR)
    expiring = Condition(ConditionName.EXPIRING, Severity.WARNING, "anthropic", "anthropic:soon", deadline=NOW + HOUR)
    profiles = [
        profile("anthropic:old", status=Status.EXPIRED, expires_at=NOW - HOUR, usable=False),
        profile("anthropic:soon", status=Status.EXPIRING, expires_at=NOW + HOUR),
        profile("anthropic:days", expires_at=NOW + 6 * DAY),
        profile("anthropic:unused", expires_at=NOW + 6 * DAY, in_use=False),
        profile("anthropic:login", kind="oauth", expires_at=NOW + HOUR, refreshable=True),
        profile("anthropic:good"),
    ]
    html = page.status_page(report(agent(*profiles, exit_code=1, conditions=(expiring, expired))), now=NOW)
    assert "1 now · 2 this week · 3 fine" in Seen(html).words
    assert re.findall(r"<h3>([^<]+)</h3>", html) == ["anthropic:old", "anthropic:soon", "anthropic:days"]
    assert leads(html) == [
        "Expired 1 h ago, 2026-11-22 09:00 UTC",
        "Expires in 1 h, 2026-11-22 11:00 UTC",
        "Ends in 6 days, 2026-11-28 10:00 UTC",
    ]


def test_cooldown_that_ends_by_itself_asks_for_nothing() -> None:
    html = page.status_page(outage("rate_limit", wait(NOW + HOUR)), now=NOW)
    assert leads(html) == ["Replies fail now; recovers at 11:00"]
    words = Seen(html).words
    assert "1 recovers at 11:00 · 0 fine Replies fail now. As of" in words
    assert "Wait until" not in words
    assert "must act" not in words


def test_disable_that_someone_must_pay_for_needs_someone_now_although_it_ends() -> None:
    pay = Step(StepKind.NOTE, "Pay at https://example.org.", action=StepAction.DO)
    words = seen(outage("billing", pay, wait(NOW + HOUR))).words
    assert "1 now · 0 fine Someone must act now." in words
    assert "Pay at https://example.org. Wait until" in words


def test_credential_whose_check_fails_is_not_fine() -> None:
    words = seen(EXAMPLES["failed"]()).words
    assert "1 now · 1 not seen now · 0 fine" in words
    assert "anthropic:default home main not seen now in 30 days" in words


def test_exit_code_that_nothing_explains_needs_someone() -> None:
    words = seen(report(agent(profile(), exit_code=1))).words
    assert "1 now · 1 fine Someone must act now." in words
    assert "The exit code of main is 1, and no condition explains it." in words


def test_the_page_before_the_first_check_claims_nothing() -> None:
    text = seen(Report(NOW, (TargetReport("home", "openclaw"),))).text
    assert text.count("The first check has not finished yet") == 3  # title, first line, target
    for claim in ("must act", "Nothing to do", "fine Nothing"):
        assert claim not in text


def test_bars_have_one_scale() -> None:
    ends = [HOUR, DAY, 30 * DAY, 365 * DAY, 900 * DAY]
    shown = [profile(f"anthropic:{n}", expires_at=NOW + left, in_use=False) for n, left in enumerate(ends)]
    html = page.status_page(report(agent(*shown, profile("anthropic:key", expires_at=None))), now=NOW)
    assert [int(width) for width in re.findall(r'<i class="?b(\d+)"?>', html)] == [1, 5, 29, 100, 100, 0]


# --- remedies ------------------------------------------------------------------------------------


def test_card_shows_the_problem_and_its_commands() -> None:
    condition = Condition(
        ConditionName.EXPIRING,
        Severity.WARNING,
        "anthropic",
        "anthropic:default",
        "Ends at 2026-11-22 21:00 UTC.",
        PASTE,
    )
    one = profile(status=Status.EXPIRING, expires_at=NOW + 11 * HOUR)
    words = seen(report(agent(one, exit_code=2, conditions=(condition,)))).words
    assert "Someone must act soon. As of 2026-11-22 10:00 UTC." in words
    assert "expiring Ends at 2026-11-22 21:00 UTC. claude setup-token Copy openclaw models auth paste-token" in words


def in_pre(text: str) -> list[str]:
    """The pieces of a command between which a browser may break it."""
    condition = Condition(ConditionName.EXPIRED, Severity.CRITICAL, "a", "a", "Over.", (command(text),))
    html = page.status_page(report(agent(conditions=(condition,))), now=NOW)
    (pre,) = re.findall(r'<pre tabindex="0">(.*?)</pre>', html)
    assert Seen(pre).text == text
    return [Seen(piece).text for piece in re.findall(r"<span>(.*?)</span>", pre)]


def test_a_command_never_breaks_inside_an_option() -> None:
    line = "openclaw models auth paste-token --profile-id 'it is' --expires-in 365d"
    assert in_pre(line) == [
        *("openclaw", "models", "auth", "paste-token"),
        "--profile-id 'it is'",
        "--expires-in 365d",
    ]


@pytest.mark.parametrize("text", ["x" * 1500, "a  b ' c", "--", "--x", "sh -c \"it's\" 'x", "<b>&amp;"])
def test_a_command_to_copy_is_whole(text: str) -> None:
    in_pre(text)


async def test_credential_that_ends_this_week_has_the_commands_that_renew_it() -> None:
    soon = profile(expires_at=time.time() + 5 * DAY)
    status = (await ask(FakeDaemon(shown=report(agent(soon, id="work"))), "GET", "/")).text
    assert "openclaw renew anthropic:default --agent work Copy" in Seen(status).words


# --- bounds --------------------------------------------------------------------------------------


def test_a_large_page_is_bounded_and_the_filter_finds_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_ROWS", 5)
    monkeypatch.setattr(page, "MAX_CARDS", 2)
    bad = [profile(f"anthropic:bad{n}", status=Status.EXPIRED, usable=False) for n in range(3)]
    conditions = [Condition(ConditionName.EXPIRED, Severity.CRITICAL, "anthropic", p.id, "Over.") for p in bad]
    many = [profile(f"anthropic:{number}") for number in range(60)]
    shown = report(agent(*many, *bad, conditions=tuple(conditions), exit_code=1))
    words = seen(shown).words
    assert words.count("anthropic:bad") == 2
    assert "1 more need someone: filter, or see the JSON." in words
    assert "55 more: filter to find them, or see the JSON." in words
    assert "3 now · 60 fine" in words
    words = seen(shown, query="ANTHROPIC:5 home").words
    assert re.findall(r"anthropic:\w+", words) == [f"anthropic:{n}" for n in (5, 50, 51, 52, 53)]
    assert "6 more: filter" in words
    assert "3 now · 60 fine" in words


@pytest.mark.parametrize("failing", [0, 50, 1000])
def test_a_thousand_targets_weigh_less_than_300_kb(failing: int) -> None:
    expired = Condition(ConditionName.EXPIRED, Severity.CRITICAL, "anthropic", "anthropic:default", "It ended.", PASTE)

    def target(number: int) -> TargetReport:
        name = f"gateway-{number:04d}.example"
        one, conditions = profile(expires_at=NOW + (8 + number) * DAY), (expired,) * (number < failing)
        return TargetReport(name, "gateway", (agent(one, target=name, conditions=conditions),))

    def alert(number: int) -> dict[str, Any]:
        subject = {"target": f"gateway-{number:04d}.example", "provider": "anthropic", "profile": "anthropic:default"}
        sent = {"channel": "phone", "reason": "first", "at": "2026-11-22T09:00:00Z", "state": "delivered"}
        status = {
            "notified": [sent, sent],
            "waits": "",
            "acknowledged_at": None,
            "silenced_until": None,
            "next_at": None,
        }
        words = {"fingerprint": f"{number:032x}", "condition": "expired", "severity": "critical", "title": "It ended"}
        return {**subject, **words, **status, "family": "deadline", "agents": ["main"], "matchers": subject}

    alerts = [alert(number) for number in range(min(failing, page.MAX_ALERTS))]
    known = {"problem": None, "channels": [], "firing": failing, "inhibited": 0, "alerts": alerts}
    shown = Report(NOW, tuple(map(target, range(1000))))
    signed_in: dict[str, Any] = {"csrf": "c" * 43, "notifications": known}
    html = page.status_page(shown, now=NOW, days=lambda keys: dict.fromkeys(keys, "wc" * 45), **signed_in)
    assert f"{1000 - failing} fine" in Seen(html).words
    assert html.count("<li><a") == 1000 - failing
    assert len(html.encode()) < 300_000


# --- what reports contain is text ----------------------------------------------------------------

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;{{ 7*7 }}</style>\u202e"
AS_TEXT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;{{ 7*7 }}</style>\\u202e"


def hostile() -> Report:
    condition = Condition(ConditionName.MISSING, Severity.CRITICAL, HOSTILE, HOSTILE, HOSTILE, (command(HOSTILE),))
    one = profile(HOSTILE, kind=HOSTILE, provider=HOSTILE, label=HOSTILE, status=Status.MISSING)
    fine = profile(HOSTILE + "2", kind=HOSTILE, provider=HOSTILE, label=HOSTILE)
    main = agent(one, fine, id=HOSTILE, target=HOSTILE, openclaw_version=HOSTILE, conditions=(condition,), exit_code=1)
    return Report(NOW, (TargetReport(HOSTILE, HOSTILE, (main,), chosen=HOSTILE),))


def test_html_in_names_is_escaped() -> None:
    html = page.status_page(hostile(), now=NOW)
    found = Seen(html)
    (script,) = [attributes for tag, attributes in found.elements if tag == "script"]
    assert script == {}
    assert "img" not in {tag for tag, _ in found.elements}
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert "7*7" in found.text
    assert "\u202e" not in html
    assert found.text.count(AS_TEXT) >= 8  # everywhere it is shown, it is shown as it is


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_every_example_has_a_page_without_a_secret(name: str) -> None:
    answer = await ask(FakeDaemon(shown=EXAMPLES[name]()), "GET", "/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert SECRET not in answer.text
    assert TOKEN not in answer.text


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(reports)
def test_any_report_has_a_page(shown: Report) -> None:
    answer = page.answer(page.status_page(shown, now=NOW))
    assert SECRET not in bytes(answer.body).decode()


def test_the_page_needs_nothing_from_elsewhere_and_its_style_and_script_are_allowed() -> None:
    html = page.status_page(hostile(), now=NOW, query='"><script>alert(1)</script>')
    policy = page.answer(html).headers["content-security-policy"]
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        text = html.rpartition(f"<{element}>")[2].partition(f"</{element}>")[0]
        assert f"{directive} {hashed(text)};" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes in Seen(html).elements:
        assert "style" not in attributes, tag
        for name in ("src", "href", "action"):
            assert not re.match(r"(\w+:)?//|/", attributes.get(name) or ""), (tag, attributes)


async def test_the_page_shows_buttons_only_to_a_signed_in_visitor() -> None:
    without = await ask(FakeDaemon(), "GET", "/", keys={"listen": "127.0.0.1:10785"})
    assert 'href="login"' not in without.text
    assert 'method="post"' not in without.text
    with_token = await ask(FakeDaemon(), "GET", "/")
    assert 'href="login"' in with_token.text
    assert 'method="post"' not in with_token.text


def test_page_has_times_in_its_zone_and_for_the_script_in_utc() -> None:
    condition = Condition(ConditionName.EXPIRING, Severity.WARNING, summary="It ends at 2026-11-22 21:59 UTC.")
    one = profile(expires_at=NOW + 30 * DAY)
    html = page.status_page(
        report(agent(one, exit_code=2, conditions=(condition,))), now=NOW, zone=ZoneInfo("Asia/Tokyo")
    )
    assert "It ends at 2026-11-23 06:59 JST." in Seen(html).words
    assert "in 30 days 2026-12-22 19:00 JST" in Seen(html).words
    assert "<time datetime=2026-11-22T21:59Z>2026-11-23 06:59 JST</time>" in html
    assert "UTC" not in Seen(html).text


# --- the last days ---


async def test_card_and_explanation_show_the_last_ninety_days() -> None:
    daemon = FakeDaemon(shown=EXAMPLES["expired_with_spare"]())
    now = time.time()
    for day, usable in ((80, True), (3, True), (2, False), (1, False), (0, True)):
        seen_then = agent(profile(usable=usable))
        daemon.days.note(TargetReport("home", "openclaw", (seen_then,)), now - day * DAY)
        daemon.days.save()
    status = (await ask(daemon, "GET", "/")).text
    sentence = "The last 90 days: works on 3, unusable on 2, not seen on 85."
    assert f'aria-label="anthropic:default. {sentence}"' in status
    assert status.count("<svg") == 1  # only of what needs someone
    assert re.findall(r'<path class="(\S+)" d="([^"]+)"/>', status) == [
        ("works", "M9 6h1M86 6h1M89 6h1"),
        ("unusable", "M87 6h2"),
        ("not-seen", "M0 6h9M10 6h76"),
    ]
    link = re.findall(r'<a href="(explain[^"]+)"', status)[0]
    assert sentence in Seen((await ask(daemon, "GET", f"/{link}")).text).words


# --- explain ---------------------------------------------------------------------------------------


async def test_each_credential_and_target_has_its_explanation() -> None:
    daemon = FakeDaemon(shown=EXAMPLES["expired_with_spare"]())
    status = (await ask(daemon, "GET", "/")).text
    links = re.findall(r'<a href="(explain[^"]+)"', status)
    assert len(links) == 2
    expired, spare = [Seen((await ask(daemon, "GET", f"/{link}")).text).words for link in links]
    assert "anthropic:default on home" in expired
    assert "warning expired: The token ended 3 h ago" in expired
    assert "anthropic:spare (token of anthropic): ok" in spare
    assert "warning expired" not in spare
    failing = FakeDaemon(shown=EXAMPLES["not_listed"]())
    (link,) = re.findall(r'<a href="(explain[^"]+)"', (await ask(failing, "GET", "/")).text)
    assert "openclaw is not there" in (await ask(failing, "GET", f"/{link}")).text


async def test_options_of_commands_are_not_broken_in_an_explanation() -> None:
    steps = (command("openclaw models auth paste-token --expires-in 365d --agent <b>"),)
    spare = Condition(ConditionName.EXPIRED, Severity.WARNING, "anthropic", "anthropic:default", "over", steps=steps)
    daemon = FakeDaemon(shown=report(agent(profile("anthropic:default"), conditions=(spare,), exit_code=2)))
    link = re.findall(r'<a href="(explain[^"]+)"', (await ask(daemon, "GET", "/")).text)[0]
    page = (await ask(daemon, "GET", f"/{link}")).text
    assert "paste-token <span>--expires-in 365d</span> <span>--agent &lt;b&gt;</span>" in page


async def test_advice_is_on_the_page_of_a_credential_and_alarms_nobody() -> None:
    daemon = FakeDaemon(shown=report(agent(profile("anthropic:default"), advice=("write A_KEY into <.env>",))))
    status = (await ask(daemon, "GET", "/")).text
    assert "A_KEY" not in status
    (link,) = re.findall(r'<a href="(explain[^"]+)"', status)
    assert "advice - write A_KEY into <.env>" in Seen((await ask(daemon, "GET", f"/{link}")).text).words


@pytest.mark.parametrize("query", ["", "?c=0123456789", "?target=nowhere", "?c=%00&target=home"])
async def test_unknown_credential_has_no_explanation(query: str) -> None:
    answer = await ask(FakeDaemon(), "GET", f"/explain{query}")
    assert answer.status_code == 404
    assert answer.text == "There is no such credential or target any more: / links to all that there are.\n"


async def test_explanation_of_hostile_names_is_text() -> None:
    daemon = FakeDaemon(shown=hostile())
    for link in re.findall(r'<a href="(explain[^"]+)"', (await ask(daemon, "GET", "/")).text):
        found = Seen((await ask(daemon, "GET", f"/{link}")).text)
        assert [attributes for tag, attributes in found.elements if tag in ("script", "img")] == [{}]
        assert AS_TEXT in found.text
