"""Renewing from the page: who may, who sees what, and where a link leads."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fake_daemon import BEARER, TOKEN, FakeDaemon, Site, client, hashed, log_in, web
from reports import agent, profile, report

from exporter.alerts.values import Alert, NotificationReason
from exporter.model import Condition, ConditionName, Family, Report, Severity
from exporter.model.renewals import (
    RenewalPhase,
    RenewalPreview,
    RenewalRefusedError,
    RenewalSubject,
    RenewalView,
)
from exporter.web import links
from exporter.web.app import create_app

SUBJECT = RenewalSubject("home", "main", "anthropic:default")
LINK = "/renew?target=home&agent=main&profile=anthropic%3Adefault"
FIELDS = {"target": "home", "agent": "main", "profile": "anthropic:default"}
LOCAL, EXTERNAL = "http://127.0.0.1:10785", "https://rack7.example"


class FakeRenewals:
    """One renewal, which the first browser that starts it owns."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.entered: list[tuple[str, str]] = []
        self.ended: list[str | None] = []
        self.refusal: RenewalRefusedError | None = None
        self.problem = "critical: it <expired>"
        self.steps: tuple[tuple[str, str, bool], ...] = (("make a new token", "claude setup-token", True),)
        self.shown = RenewalView("abc", SUBJECT, RenewalPhase.TERMINAL, links=("https://claude.ai/x?a=1&b=2",))

    def preview(self, subject: RenewalSubject) -> RenewalPreview:
        if subject != SUBJECT:
            raise KeyError(subject.profile)
        return RenewalPreview(subject, self.problem, self.steps)

    def start(self, subject: RenewalSubject, owner: str, by: str) -> str:
        self.preview(subject)
        if self.refusal is not None:
            raise self.refusal
        self.owner = owner
        return "abc"

    def view(self, id: str, owner: str) -> RenewalView | None:
        return self.shown if (id, owner) == ("abc", self.owner) else None

    def enter(self, id: str, owner: str, kind: str, value: str) -> None:
        self.entered.append((kind, value))
        self.shown = replace(self.shown, version=self.shown.version + 1)

    def end(self, owner: str | None = None, why: str = "") -> None:
        self.ended.append(owner)

    async def stop(self) -> None: ...


class RenewingSite(Site):
    """A site whose page renews."""

    renewals: FakeRenewals

    def __init__(self, **keys: Any) -> None:
        self.renewals = FakeRenewals()
        super().__init__(**keys)


async def started(browser: httpx.AsyncClient) -> str:
    """Sign in and start; the CSRF token."""
    csrf = await log_in(browser)
    answer = await browser.post("/api/v1/reauth", data={"csrf": csrf, **FIELDS})
    assert (answer.status_code, answer.headers["location"]) == (303, "../../renew/abc")
    return csrf


async def test_without_web_reauth_there_is_no_such_page() -> None:
    site = Site()
    site.daemon.shown = expired()
    async with site.browser() as browser:
        csrf = await log_in(browser)
        assert (await browser.get(LINK)).status_code == 404
        assert (await browser.post("/api/v1/reauth", data={"csrf": csrf, **FIELDS})).status_code == 404
        assert "renew" not in (await browser.get("/")).text


def expired() -> Report:
    about = Condition(ConditionName.EXPIRED, Severity.CRITICAL, "anthropic", "anthropic:default")
    return report(agent(profile(), conditions=(about,)))


async def test_the_status_page_leads_to_the_renewal_of_what_a_renewal_fixes() -> None:
    site = RenewingSite()
    site.daemon.shown = expired()
    async with site.browser() as browser:
        assert "renew?" not in (await browser.get("/")).text
        await log_in(browser)
        assert f'href="{LINK[1:].replace("&", "&amp;")}"' in (await browser.get("/")).text
        site.daemon.shown = report(agent(profile()))
        assert "renew?" not in (await browser.get("/")).text


@pytest.mark.parametrize(
    ("external_url", "is_set", "about", "expected"),
    [
        ("https://rack7.example/", True, {}, f"https://rack7.example{LINK}"),
        ("http://127.0.0.1:10785", True, {}, f"http://127.0.0.1:10785{LINK}"),
        ("http://rack7.example", True, {}, None),
        ("", True, {}, None),
        ("https://rack7.example", False, {}, None),
        ("https://rack7.example", True, {"condition": ConditionName.CHECK_FAILED}, None),
        ("https://rack7.example", True, {"profile": None}, f"https://rack7.example{LINK}"),
        ("https://rack7.example", True, {"agents": ()}, None),
    ],
)
def test_the_button_of_an_alert_is_a_plain_link_where_the_page_can_renew(
    external_url: str, is_set: bool, about: dict[str, Any], expected: str | None
) -> None:
    alert = Alert(
        **{
            "fingerprint": "0123",
            "reason": NotificationReason.FIRST,
            "family": Family.DEADLINE,
            "condition": ConditionName.EXPIRED,
            "severity": Severity.CRITICAL,
            "target": "home",
            "agents": ("main",),
            "provider": "anthropic",
            "profile": "anthropic:default",
            **about,
        }
    )
    link = links.maker(b"key", lambda: external_url, lambda: 0.0, lambda: is_set)
    assert link("renew", alert, "phone") == expected


async def test_a_link_asks_for_the_sign_in_and_leads_back_without_starting_anything() -> None:
    site = RenewingSite()
    async with site.browser(follow_redirects=False) as browser:
        answer = await browser.get(LINK)
        assert answer.status_code == 200
        assert "Enter the token" in answer.text
        fields = {"token": TOKEN, "renew": "1", **FIELDS}
        wrong = await browser.post("/login", data={**fields, "token": "no"})
        assert wrong.status_code == 401
        assert 'name="profile" value="anthropic:default"' in wrong.text
        signed_in = await browser.post("/login", data=fields)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, f".{LINK}")
        page = await browser.get(LINK)
    assert page.status_code == 200
    assert "it &lt;expired&gt;" in page.text
    assert site.renewals.owner is None


async def test_signing_in_leads_to_no_other_site() -> None:
    async with RenewingSite().browser() as browser:
        evil = {**FIELDS, "target": "//evil.example/?", "renew": "https://evil.example"}
        answer = await browser.post("/login", data={"token": TOKEN, **evil})
    assert answer.headers["location"].startswith("./renew?target=%2F%2Fevil.example")


async def test_a_link_on_another_site_is_asked_for_again_by_our_own_page() -> None:
    """Browsers hold the session's cookie back from a request that another site causes."""
    async with RenewingSite().browser() as browser:
        answer = await browser.get(LINK, headers={"Sec-Fetch-Site": "cross-site"})
        assert f'content="0; url={LINK[1:].replace("&", "&amp;")}&amp;again=1"' in answer.text
        again = await browser.get(f"{LINK}&again=1", headers={"Sec-Fetch-Site": "cross-site"})
    assert "Enter the token" in again.text


@pytest.mark.parametrize(
    ("base_url", "address", "headers", "keys", "allowed"),
    [
        (LOCAL, "127.0.0.1", {}, {}, True),
        ("http://localhost:10785", "::1", {}, {}, True),
        (LOCAL, "192.0.2.7", {}, {}, False),
        ("http://rack7:10785", "127.0.0.1", {}, {"listen": "0.0.0.0:10785"}, False),
        ("http://192.0.2.1:10785", "192.0.2.7", {}, {"listen": "0.0.0.0:10785"}, False),
        ("https://rack7:10785", "192.0.2.7", {}, {"listen": "0.0.0.0:10785"}, True),
        ("http://rack7.example", "192.0.2.7", {}, {"external_url": EXTERNAL}, True),
        ("http://rack7.example", "192.0.2.7", {"Origin": "http://rack7.example"}, {"external_url": EXTERNAL}, False),
        ("http://rack7.example", "192.0.2.7", {}, {"external_url": "http://rack7.example"}, False),
        (LOCAL, "192.0.2.7", {}, {"external_url": EXTERNAL}, False),
    ],
)
async def test_only_a_connection_that_nobody_can_read_along_may_renew(
    base_url: str, address: str, headers: Mapping[str, str], keys: Mapping[str, Any], allowed: bool
) -> None:
    daemon = FakeDaemon(renewals=FakeRenewals())
    app = create_app(daemon, web(token=TOKEN, **keys))
    async with client(app, base_url, address) as browser:
        for method, path in (("GET", LINK), ("GET", "/renew/abc"), ("POST", "/renew/abc"), ("POST", "/api/v1/reauth")):
            answer = await browser.request(method, path, headers=headers)
            assert ("nobody can read along" in answer.text) is not allowed, (method, path, answer.text)
            is_unknown = (method, path) == ("GET", "/renew/abc")
            assert answer.status_code == (
                403 if not allowed else 404 if is_unknown else 401 if method == "POST" else 200
            )


async def test_the_token_alone_renews_nothing() -> None:
    """No page would show the bearer of the token what a program asks."""
    site = RenewingSite()
    async with site.browser(headers=BEARER) as browser:
        answer = await browser.post("/api/v1/reauth", data=FIELDS)
    assert (answer.status_code, site.renewals.owner) == (403, None)
    assert "sign in" in answer.text


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_neither_starts_a_renewal_nor_enters_anything(headers: Mapping[str, str]) -> None:
    site = RenewingSite()
    async with site.browser() as browser:
        csrf = await started(browser)
        given = {"csrf": csrf} if headers else {}
        for path in ("/api/v1/reauth", "/renew/abc"):
            answer = await browser.post(path, data={**given, "text": "code", **FIELDS}, headers=headers)
            assert answer.status_code == 403
    assert site.renewals.entered == []


async def test_only_the_browser_that_started_it_sees_the_link_or_enters_a_code() -> None:
    site = RenewingSite()
    async with site.browser() as browser, site.browser() as other:
        csrf = await started(browser)
        assert 'href="https://claude.ai/x?a=1&amp;b=2"' in (await browser.get("/renew/abc")).text
        others = await log_in(other)
        seen = await other.get("/renew/abc")
        assert (seen.status_code, "claude.ai" in seen.text) == (404, False)
        assert (await other.post("/renew/abc", data={"csrf": others, "text": "code"})).status_code == 404
        assert site.renewals.entered == []
        answer = await browser.post("/renew/abc", data={"csrf": csrf, "text": "code"})
        assert (answer.status_code, answer.headers["location"]) == (303, "./abc")
    assert site.renewals.entered == [("text", "code")]


async def test_signing_out_ends_the_renewals_of_this_browser() -> None:
    site = RenewingSite()
    async with site.browser() as browser:
        csrf = await started(browser)
        await browser.post("/logout", data={"csrf": csrf})
        assert (await browser.get("/renew/abc")).status_code == 404
    assert site.renewals.ended == [csrf]


@pytest.mark.parametrize(
    ("form", "entry"),
    [
        ({"secret": "key"}, ("secret", "key")),
        ({"key": "up"}, ("key", "up")),
        ({"answer": "skip"}, ("answer", "skip")),
        ({"cancel": "1", "text": "code"}, ("cancel", "1")),
    ],
)
async def test_each_form_is_one_entry(form: dict[str, str], entry: tuple[str, str]) -> None:
    site = RenewingSite()
    async with site.browser() as browser:
        csrf = await started(browser)
        await browser.post("/renew/abc", data={"csrf": csrf, **form})
    assert site.renewals.entered == [entry]


async def test_a_refusal_says_why_and_when_to_come_back() -> None:
    site = RenewingSite()
    site.renewals.refusal = RenewalRefusedError("Another browser renews it.", 60)
    async with site.browser() as browser:
        csrf = await log_in(browser)
        answer = await browser.post("/api/v1/reauth", data={"csrf": csrf, **FIELDS})
        assert (answer.status_code, answer.text) == (409, "Another browser renews it.\n")
        assert answer.headers["retry-after"] == "60"
        unknown = await browser.post("/api/v1/reauth", data={"csrf": csrf, **FIELDS, "profile": "no:such"})
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("view", "reloads", "contains"),
    [
        ({"phase": RenewalPhase.WORKING, "can_cancel": False}, True, "Working"),
        ({"phase": RenewalPhase.TERMINAL}, True, "The program starts"),
        ({"phase": RenewalPhase.TERMINAL, "asks_code": True, "links": ("https://x.example/",)}, False, 'name="text"'),
        ({"phase": RenewalPhase.TERMINAL, "lines": ("Code: <ABCD>",)}, True, "Code: &lt;ABCD&gt;"),
        (
            {"phase": RenewalPhase.TERMINAL, "status": "The code was sent.", "links": ("https://x.example/",)},
            True,
            "sent",
        ),
        ({"phase": RenewalPhase.SECRET, "noun": "token or key"}, False, 'type="password"'),
        ({"phase": RenewalPhase.SECRET, "problem": "Nothing was pasted."}, False, "Nothing was pasted."),
        ({"phase": RenewalPhase.QUESTION, "answers": (("yes", "Try again"),)}, False, 'value="yes">Try again'),
        ({"phase": RenewalPhase.ENDED, "succeeded": True, "can_cancel": False}, False, "It works"),
        ({"phase": RenewalPhase.ENDED, "can_cancel": False}, False, "Not everything is done"),
    ],
)
async def test_a_page_with_a_field_does_not_reload_under_the_person(
    view: dict[str, Any], reloads: bool, contains: str
) -> None:
    site = RenewingSite()
    async with site.browser() as browser:
        await started(browser)
        site.renewals.shown = RenewalView("abc", SUBJECT, **view)
        page = (await browser.get("/renew/abc")).text
        assert ('<noscript><meta http-equiv="refresh"' in page, "data-follow" in page) == (reloads, reloads)
        assert contains in page
        assert ("Cancel" in page) is view.get("can_cancel", True)
        if view.get("lines"):
            typing = (await browser.get("/renew/abc?type=1")).text
            assert ('http-equiv="refresh"' in typing, 'name="text"' in typing) == (False, True)


async def test_a_device_code_is_beside_its_link_until_the_code_was_sent() -> None:
    site = RenewingSite()
    async with site.browser() as browser:
        await started(browser)
        asks = RenewalView("abc", SUBJECT, RenewalPhase.TERMINAL, links=("https://x.example/",), device_code="AB-<1>")
        site.renewals.shown = asks
        page = (await browser.get("/renew/abc")).text
        assert (
            page.index('href="https://x.example/"') < page.index("Enter this code there") < page.index("AB-&lt;1&gt;")
        )
        site.renewals.shown = replace(asks, status="The code was sent.")
        page = (await browser.get("/renew/abc")).text
        assert "x.example" not in page
        assert '<p role="status">The code was sent.</p>' in page


async def test_a_step_that_is_advice_does_not_look_like_a_command() -> None:
    site = RenewingSite()
    site.renewals.steps = (*site.renewals.steps, ("edit the environment", "Set KEY in the service's file.", False))
    async with site.browser() as browser:
        await log_in(browser)
        page = (await browser.get(LINK)).text
    assert "<p>Set KEY in the service&#39;s file.</p>" in page
    assert page.count("<pre") == 1


async def test_times_are_in_the_zone_of_the_configuration() -> None:
    site = RenewingSite()
    site.daemon.time_zone = dt.timezone(dt.timedelta(hours=1), "CET")
    site.renewals.problem = "critical: it expired (2026-11-29T15:43:16Z)"
    works = "anthropic:default works until 2027-11-29T16:43:45Z."
    async with site.browser() as browser:
        await started(browser)
        assert ">2026-11-29 16:43 CET</time>" in (await browser.get(LINK)).text
        site.renewals.shown = RenewalView("abc", SUBJECT, RenewalPhase.ENDED, sentences=(works,), succeeded=True)
        assert ">2027-11-29 17:43 CET</time>" in (await browser.get("/renew/abc")).text


async def test_the_first_page_is_imported_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages need Jinja2, and nothing else waits for it."""
    module, imported = "exporter.web.renewal_pages", []

    def record(name: str) -> None:
        imported.append((name, threading.current_thread() is threading.main_thread()))

    async with RenewingSite().browser() as browser:
        await log_in(browser)
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr("exporter.web.late.importlib.import_module", record)
        await browser.get(LINK)
    assert imported == [(module, False)]


async def test_hostile_text_of_a_program_is_text() -> None:
    site = RenewingSite()
    evil = "<script>alert(1)</script>"
    async with site.browser() as browser:
        await started(browser)
        site.renewals.shown = RenewalView(
            "abc",
            replace(SUBJECT, profile=evil),
            RenewalPhase.TERMINAL,
            step=evil,
            command=evil,
            sentences=(evil,),
            lines=(evil,),
            problem=evil,
            links=('https://x.example/"><script>',),
        )
        page = await browser.get("/renew/abc")
    before, _, script = page.text.partition("<script>")
    assert "<script" not in before
    script, _, after = script.partition("</script>")
    assert "<script" not in after
    assert evil not in script
    policy = page.headers["content-security-policy"]
    assert f"script-src {hashed(script)};" in policy
    assert "unsafe" not in policy
