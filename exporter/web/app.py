"""The ASGI application: one handler per route, a plain sentence for each error, and the middleware around them.

Handlers import ``page`` themselves: a daemon whose pages nobody opens does without Jinja2 and stays small.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from exporter.alerts.delivery.about import MessageFilter, SentAlert
from exporter.alerts.lifecycle.policy import MATCHERS
from exporter.config import Web
from exporter.lib.names import suggestion
from exporter.lib.sqlite import StateError
from exporter.model import ConditionName, Report
from exporter.present import to_line
from exporter.present.as_json import to_text
from exporter.present.explanation import Alerts
from exporter.state.day_history import Key
from exporter.web import icons
from exporter.web.actions import NoChannelError
from exporter.web.current_token import CurrentToken
from exporter.web.daemon_api import DaemonApi, OutdatedError
from exporter.web.events import EventStreams
from exporter.web.forms import probe_timeout, read_form, silence_length
from exporter.web.hosts import HostRule
from exporter.web.late import load
from exporter.web.limits import BodyLimit, check_header_size
from exporter.web.links import renewal_path
from exporter.web.renewal import RenewalSite, subject_of
from exporter.web.responses import Gate, sentence
from exporter.web.sessions import Guard
from exporter.web.users import BasicAuth, users_of
from exporter.web.web_config import CurrentWebConfig, RequestLimit


def create_app(daemon: DaemonApi, web: Web, guard: Guard | None = None) -> ASGIApp:
    """The application behind every check that the ``web`` part of the configuration asks for.

    Sessions and limits live in ``guard``; pass the same one to keep them over a reload. Raises ConfigError if
    ``web.users_file`` or ``web.config_file`` cannot be used.
    """
    from_file = CurrentWebConfig(web.config_file) if web.config_file else None
    checks: list[Callable[[Scope], Awaitable[None]]] = []
    if from_file is not None:
        if (limit := from_file.read().rate_limit) is not None:
            checks.append(RequestLimit(limit).check)
        checks.append(from_file.check)
    checks += [check_header_size, HostRule.of((host for host, _ in web.addresses), web.external_url, web.hosts).check]
    if guard is None:
        token = CurrentToken(web)
        guard = Guard(token.value, web.external_url)
        checks.append(token.refresh)
    if (users := users_of(web, guard.limiter)) is not None:
        users.load()
        checks.append(BasicAuth(users, guard).check)
    headers = from_file.headers if from_file is not None else dict
    return Gate(BodyLimit(_Site(daemon, guard).starlette()), checks, headers)


class _Site:
    def __init__(self, daemon: DaemonApi, guard: Guard) -> None:
        self._daemon = daemon
        self._guard = guard
        self._streams = EventStreams(daemon.announcer, daemon.checking)

    def starlette(self) -> Starlette:
        routes = [
            Route("/", self.page),
            Route("/explain", self.explain),
            Route("/manifest.webmanifest", self.manifest),
            Route("/icon.png", self.icon),
            Route("/metrics", self.metrics),
            Route("/probe", self.probe),
            Route("/sd", self.service_discovery),
            Route("/api/v1/status", self.status),
            Route("/api/v1/events", self.events),
            Route("/api/v1/check", self.check, methods=["POST"]),
            Route("/api/v1/silences", self.silences),
            Route("/api/v1/silences", self.add_silence, methods=["POST"]),
            Route("/api/v1/silences", self.remove_silence, methods=["DELETE"]),
            Route("/api/v1/silences/remove", self.remove_silence, methods=["POST"]),  # forms cannot send DELETE
            Route("/api/v1/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/act/{token}", self.act, methods=["GET", "POST"]),
            Route("/calendar.ics", self.calendar),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload, methods=["POST"]),
        ]
        if self._daemon.renewals is not None:
            routes += RenewalSite(self._daemon.renewals, self._guard, self._daemon.zone).routes()
        app = Starlette(routes=routes, exception_handlers=_HANDLERS)
        app.router.redirect_slashes = False
        return app

    # --- requests that read ------------------------------------------------------------------

    async def metrics(self, request: Request) -> Response:
        accepted = [",".join(request.headers.getlist(name)) for name in ("accept", "accept-encoding")]
        try:
            body, content_type, encoding = self._daemon.exposition(*accepted)
        except OutdatedError as error:  # a failed scrape is better than an old answer
            return sentence(503, f"{error}.")
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(body, headers=headers)

    async def probe(self, request: Request) -> Response:
        names, agents = request.query_params.getlist("target"), request.query_params.getlist("agent")
        if len(names) != 1 or not names[0]:
            return sentence(400, "Name one target: /probe?target=NAME.")
        if len(agents) > 1:
            return sentence(400, "Name at most one agent: /probe?target=NAME&agent=ID.")
        agent = agents[0] if agents and agents[0] else None
        timeout = probe_timeout(request.headers.get("x-prometheus-scrape-timeout-seconds"))
        try:
            body, content_type = await self._daemon.probe(names[0], agent, timeout)
        except KeyError:
            return self._unknown(names[0], agent)
        return Response(body, headers={"Content-Type": content_type})

    async def service_discovery(self, request: Request) -> Response:
        groups = [{"targets": [name], "labels": labels} for name, labels in self._daemon.scrape_targets()]
        return _as_json(groups)  # Prometheus accepts only the content type application/json

    async def status(self, request: Request) -> Response:
        match request.query_params.get("format", "json"):
            case "json":
                return await self._status_json()
            case "line":
                return sentence(200, await asyncio.to_thread(to_line, self._daemon.report(), time.time()))
            case _:
                return sentence(400, "Unknown format: use json (the default) or line.")

    async def page(self, request: Request) -> Response:
        await load("exporter.web.page")
        from exporter.web import page

        session = self._guard.session(request)
        html = await asyncio.to_thread(
            page.status_page,
            self._daemon.report(),
            csrf=session.csrf if session else None,
            can_log_in=session is None and self._guard.token() is not None,
            notifications=await self._overview(page.MAX_ALERTS),
            silences=await self._silences(),
            days=self._days,
            renew=self._daemon.renewal_steps,
            zone=self._daemon.zone(),
            query=request.query_params.get("q", ""),
            renews=self._daemon.renewals is not None,
        )
        return page.answer(html)

    async def manifest(self, request: Request) -> Response:
        return Response(icons.MANIFEST, headers={"Content-Type": "application/manifest+json"})

    async def icon(self, request: Request) -> Response:
        headers = {"Content-Type": "image/png", "Cache-Control": "max-age=86400"}
        return Response(await asyncio.to_thread(icons.png), headers=headers)

    async def explain(self, request: Request) -> Response:
        await load("exporter.web.page")
        from exporter.web import page

        asked, report = request.query_params, self._daemon.report()
        found = await asyncio.to_thread(page.find, report, asked.get("c", ""), asked.get("target", ""))
        if found is None:
            return sentence(404, "There is no such credential or target any more: / links to all that there are.")
        html = await asyncio.to_thread(
            page.explanation_page,
            report,
            *found,
            alerts=await self._explanations(),
            zone=self._daemon.zone(),
            days=self._days,
            messages=await self._messages_about(found[0]),
        )
        return page.answer(html)

    async def calendar(self, request: Request) -> Response:
        body = await asyncio.to_thread(lambda: self._daemon.calendar().encode())
        return Response(body, headers={"Content-Type": "text/calendar; charset=utf-8"})

    async def events(self, request: Request) -> Response:
        return self._streams.answer()

    async def healthy(self, request: Request) -> Response:
        if (problem := self._daemon.health_problem()) is None:
            return sentence(200, "Healthy.")
        return sentence(503, f"Not healthy: {problem}. If this lasts, read the exporter's log and restart it.")

    async def ready(self, request: Request) -> Response:
        if self._daemon.ready():
            return sentence(200, "Ready.")
        return sentence(503, "Not ready: the state is not open yet.")

    async def silences(self, request: Request) -> Response:
        return _as_json(await self._daemon.alert_actions.silences())

    # --- requests that change something ------------------------------------------------------

    async def check(self, request: Request) -> Response:
        form = await self._changing(request)
        target = request.query_params.get("target") or form.get("target") or None
        try:
            await self._daemon.check_now(target)
        except KeyError:
            return self._unknown(target or "", None)
        return await self._status_json() if "csrf" not in form else _home()

    async def reload(self, request: Request) -> Response:
        await self._changing(request)
        problem = await self._daemon.reload()
        if problem is not None:
            return sentence(500, f"The configuration was not reloaded; the old one stays in effect: {problem}")
        return sentence(200, "The configuration was reloaded.")

    async def add_silence(self, request: Request) -> Response:
        """Takes the fields ``for``, ``reason``, and at least one of ``MATCHERS``."""
        form = await self._changing(request)
        matchers = {name: form[name] for name in MATCHERS if form.get(name)}
        if not matchers:
            return sentence(400, f"Give at least one of {', '.join(MATCHERS)}.")
        condition = matchers.get("condition")
        if condition is not None and condition not in list(ConditionName):
            return sentence(400, f"There is no condition {_short(condition)!r}{suggestion(condition, ConditionName)}")
        try:
            seconds = silence_length(form.get("for", ""), time.time(), self._daemon.zone())
        except ValueError as error:
            return sentence(400, f"for: {error}.")
        reason = form.get("reason", "")[:500] or ("status page" if "csrf" in form else "")
        added = await self._daemon.alert_actions.add_silence(matchers, seconds, reason)
        return _as_json(added) if "csrf" not in form else _home()

    async def remove_silence(self, request: Request) -> Response:
        form = await self._changing(request)
        id = request.query_params.get("id") or form.get("id", "")
        if await self._daemon.alert_actions.remove_silence(id):
            return sentence(200, "Removed.") if "csrf" not in form else _home(3)
        return sentence(404, "There is no silence with this id.")

    async def acknowledge(self, request: Request) -> Response:
        form = await self._changing(request)
        if not await self._daemon.alert_actions.acknowledge(form.get("fingerprint", "")):
            return sentence(404, "No alert has this fingerprint.")
        return sentence(200, "Acknowledged.") if "csrf" not in form else _home()

    async def act(self, request: Request) -> Response:
        """The button of a notification: GET asks, POST acts. The signed link is the permission, once."""
        await load("exporter.web.page")
        from exporter.web import page

        token, actions = request.path_params["token"], self._daemon.alert_actions
        try:
            if request.method != "POST":
                return page.answer(page.action_page("Are you sure?", actions.question(token), "Yes"))
            return page.answer(page.action_page("Done", await actions.act(token)))
        except ValueError as error:
            return page.answer(page.action_page("Nothing was changed", str(error)), 410)

    async def login(self, request: Request) -> Response:
        await load("exporter.web.page")
        from exporter.web import page

        if self._guard.token() is None:
            return sentence(403, "Nobody can sign in: set web.token_file to allow it.")
        if request.method != "POST":
            return page.answer(page.login_page())
        form = await read_form(request)
        renew = subject_of(form) if "renew" in form else None
        done: Response = RedirectResponse("./" if renew is None else f"./{renewal_path(renew)}", 303)
        given = form.get("token", "")
        try:
            self._guard.log_in(request, given, done)
        except HTTPException as error:
            headers = {name: value for name, value in (error.headers or {}).items() if name == "Retry-After"}
            return page.answer(page.login_page(error.detail, renew), error.status_code, headers)
        return done

    async def logout(self, request: Request) -> Response:
        await self._changing(request)
        response = RedirectResponse("./", 303)
        if (session := self._guard.session(request)) is not None and self._daemon.renewals is not None:
            self._daemon.renewals.end(session.csrf, "You have signed out.")
        self._guard.log_out(request, response)
        return response

    # -----------------------------------------------------------------------------------------

    async def _changing(self, request: Request) -> dict[str, str]:
        """The form of a request that may change something. Raises HTTPException if it may not."""
        form = await read_form(request)
        self._guard.require(request, form.get("csrf", request.headers.get("x-csrf-token")))
        return form

    async def _overview(self, limit: int | None = None) -> dict[str, Any] | None:
        """The status of channels and alerts. If it cannot be read, the page shows the problem and all the rest."""
        try:
            return await self._daemon.alert_actions.overview(limit)
        except StateError as error:
            return {"problem": str(error), "channels": [], "firing": 0, "inhibited": 0, "alerts": []}

    async def _messages_about(self, wanted: MessageFilter) -> tuple[list[SentAlert], list[str]] | None:
        try:
            return await self._daemon.alert_actions.messages_about(wanted)
        except StateError:  # the status page shows the problem
            return None

    def _days(self, keys: list[Key]) -> Mapping[Key, str]:
        try:
            return self._daemon.days.read(keys, time.time())
        except StateError:  # which the health of the exporter reports
            return {}

    async def _silences(self) -> list[dict[str, Any]]:
        try:
            return await self._daemon.alert_actions.silences()
        except StateError:  # the overview has the problem
            return []

    async def _explanations(self) -> Alerts:
        try:
            return await self._daemon.alert_actions.explanations()
        except StateError:  # the status page shows the problem
            return {}

    async def _status_json(self) -> Response:
        def render(report: Report, notifications: dict[str, Any] | None) -> bytes:
            more = {} if notifications is None else {"notifications": notifications}
            body = io.BytesIO()  # one block: pieces that wait to be joined would leave holes of 5 MB in a fleet's heap
            for piece in to_text(report, more):
                body.write(piece.encode(errors="replace"))
            return body.getvalue()

        # In a thread, so that scrapes do not wait: thousands of profiles take a while.
        body = await asyncio.to_thread(render, self._daemon.report(), await self._overview())
        return Response(body, headers={"Content-Type": "application/json"})

    def _unknown(self, target: str, agent: str | None) -> Response:
        names = [name for name, _ in self._daemon.scrape_targets()]
        if target in names and agent is not None:
            return sentence(400, f"The target {target!r} has no agent {_short(agent)!r}.")
        return sentence(400, f"There is no target {_short(target)!r}{suggestion(target, names)}")


def _home(levels: int = 2) -> Response:
    """Back to our own page, whose button sent the request to a path ``levels`` below."""
    return RedirectResponse("../" * levels, 303)


def _as_json(value: object) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), headers={"Content-Type": "application/json"})


def _short(text: str) -> str:
    return text if len(text) <= 128 else text[:127] + "…"


# --- errors ----------------------------------------------------------------------------------

_SENTENCES = {
    404: "There is nothing at this path: / links to all that there is.",
    405: "This path does not accept this method.",
}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return sentence(error.status_code, _SENTENCES.get(error.status_code, error.detail), error.headers)


async def _no_channel(request: Request, error: Exception) -> Response:
    return sentence(409, "No channel is configured: add one to `channels` first.")


async def _not_written(request: Request, error: Exception) -> Response:
    return sentence(503, f"Nothing was changed: {error}.")


async def _internal_error(request: Request, error: Exception) -> Response:
    return sentence(500, "Internal error in the exporter. Its log has the details. Please report it.")


_HANDLERS = {
    HTTPException: _http_error,
    NoChannelError: _no_channel,
    StateError: _not_written,
    Exception: _internal_error,
}
