"""The ASGI application: routes onto a Board, plain sentences for errors, guards around it all."""

from __future__ import annotations

import asyncio
import difflib
import json
import math
import time
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.config import Web
from exporter.lib.sqlite import StateError
from exporter.model import ConditionName, Report
from exporter.web.security import BodyLimit, Guard, HeaderLimit, HostCheck, HostRule, SecurityHeaders, sentence
from exporter.web.users import BasicAuth, Users

#: Seconds of the scrape timeout left for the answer's way back.
PROBE_MARGIN = 0.5
#: Seconds for a probe whose client tells no scrape timeout: a person's.
PROBE_TIMEOUT = 60.0
MAX_PROBE_TIMEOUT = 3600.0


class AlertActionsProtocol(Protocol):
    """What people say to the alarm."""

    async def silences(self) -> list[dict[str, Any]]:
        """The silences that hold."""

    async def add_silence(self, matchers: dict[str, str], seconds: float, reason: str) -> dict[str, Any]:
        """Mutes what matches all ``matchers``. Raises NothingNotifies, as all that follow."""

    async def remove_silence(self, id: str) -> bool:
        """Ends a silence early; False where there is none of that id."""

    async def overview(self, limit: int | None = None) -> dict[str, Any] | None:
        """How each channel and each alert stands, at most ``limit`` of these; None where nothing notifies."""

    async def acknowledge(self, fingerprint: str) -> bool:
        """A person has seen an alert; False where none is known by that fingerprint."""

    def action(self, token: str) -> str:
        """What the link in a notification would do, as a sentence. Raises ValueError with one."""

    async def act(self, token: str) -> str:
        """Does it, once; what was done, as a sentence. Raises ValueError with one."""


class DaemonApi(Protocol):
    """What the web side needs from the daemon."""

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        """The last rendered metrics: body, content type, content encoding."""

    def report(self) -> Report:
        """The last report."""

    def healthy(self) -> bool:
        """Whether the daemon itself works: its scheduler is alive."""

    def ready(self) -> bool:
        """Whether it listens and its state is open."""

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        """The exposition of one target after a look of at most ``timeout`` seconds, and its content
        type; a failed look is an exposition too. Raises KeyError for an unknown target or agent."""

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        """The configured targets by name, with the labels Prometheus shall give them."""

    async def check_now(self, target: str | None) -> None:
        """Looks at one target, or at all, and returns when the report has it. Raises KeyError."""

    async def reload(self) -> str | None:
        """Reads the configuration again; the sentence of the problem, or None."""

    def calendar(self) -> str:
        """The known deadlines as iCalendar."""

    @property
    def people(self) -> AlertActionsProtocol:
        """The way to the alarm."""


class NoChannelError(Exception):  # it is an answer, not a fault
    """No channel is configured, so there is nothing to silence or to acknowledge."""


def create_app(board: DaemonApi, web: Web, guard: Guard | None = None) -> ASGIApp:
    """The application behind every check the ``web`` part of the configuration asks for.

    Sessions and limits live in ``guard``, so one that is handed in keeps them over a reload.
    Raises ConfigError where ``web.users_file`` cannot be used.
    """
    if guard is None:
        guard = Guard(lambda: web.secret("token"), web.external_url)
    app: ASGIApp = _Site(board, guard).starlette()
    app = BodyLimit(app)
    if web.users_file:
        users = Users(web.users_file)
        users.load()
        app = BasicAuth(app, users, guard)
    return SecurityHeaders(HeaderLimit(HostCheck(app, HostRule.of(web.host, web.external_url))))


class _Site:
    def __init__(self, board: DaemonApi, guard: Guard) -> None:
        self._board = board
        self._guard = guard

    def starlette(self) -> Starlette:
        routes = [
            Route("/", self.page),
            Route("/metrics", self.metrics),
            Route("/probe", self.probe),
            Route("/sd", self.service_discovery),
            Route("/api/v1/status", self.status),
            Route("/api/v1/check", self.check, methods=["POST"]),
            Route("/api/v1/silences", self.silences, methods=["GET", "POST", "DELETE"]),
            Route("/api/v1/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/act/{token}", self.act, methods=["GET", "POST"]),
            Route("/calendar.ics", self.calendar),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload, methods=["POST"]),
        ]
        handlers = {HTTPException: _refused, StateError: _not_written, Exception: _failed}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    # --- what is read ------------------------------------------------------------------------

    async def metrics(self, request: Request) -> Response:
        body, content_type, encoding = self._board.exposition(
            ",".join(request.headers.getlist("accept")), ",".join(request.headers.getlist("accept-encoding"))
        )
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(body, headers=headers)

    async def probe(self, request: Request) -> Response:
        names, agents = request.query_params.getlist("target"), request.query_params.getlist("agent")
        if len(names) != 1 or not names[0]:
            return sentence(400, "Say which target: /probe?target=NAME, once.")
        if len(agents) > 1:
            return sentence(400, "Name one agent, or none: /probe?target=NAME&agent=ID.")
        agent = agents[0] if agents and agents[0] else None
        timeout = probe_timeout(request.headers.get("x-prometheus-scrape-timeout-seconds"))
        try:
            body, content_type = await self._board.probe(names[0], agent, timeout)
        except KeyError:
            return self._unknown(names[0], agent)
        return Response(body, headers={"Content-Type": content_type})

    async def service_discovery(self, request: Request) -> Response:
        groups = [{"targets": [name], "labels": labels} for name, labels in self._board.scrape_targets()]
        # Prometheus takes this content type and no other.
        return Response(json.dumps(groups), headers={"Content-Type": "application/json"})

    async def status(self, request: Request) -> Response:
        match request.query_params.get("format", "json"):
            case "json":
                return await self._json()
            case "line":
                from exporter.present import to_line

                return sentence(200, await asyncio.to_thread(to_line, self._board.report(), time.time()))
            case _:
                return sentence(400, "This format is not known: there are json (the default) and line.")

    async def page(self, request: Request) -> Response:
        from exporter.web import page

        session = self._guard.session(request)
        html = await asyncio.to_thread(
            page.status_page,
            self._board.report(),
            csrf=session.csrf if session else None,
            can_log_in=session is None and self._guard.token() is not None,
            notifications=await self._overview(page.MAX_ALERTS),
        )
        return page.answer(html)

    async def healthy(self, request: Request) -> Response:
        if self._board.healthy():
            return sentence(200, "Healthy.")
        return sentence(503, "Not healthy: the scheduler does not run; restart the exporter and see its log.")

    async def ready(self, request: Request) -> Response:
        if self._board.ready():
            return sentence(200, "Ready.")
        return sentence(503, "Not ready: the state is not open yet.")

    # --- what changes something --------------------------------------------------------------

    async def check(self, request: Request) -> Response:
        form = await _form(request)
        if refused := self._guard.refuse(request, _csrf(request, form)):
            return refused
        target = request.query_params.get("target") or form.get("target") or None
        try:
            await self._board.check_now(target)
        except KeyError:
            return self._unknown(target or "", None)
        return await self._json() if "csrf" not in form else _home()

    async def reload(self, request: Request) -> Response:
        if refused := self._guard.refuse(request, _csrf(request, await _form(request))):
            return refused
        problem = await self._board.reload()
        if problem is not None:
            return sentence(500, f"The configuration was not reloaded, the old one stays: {problem}")
        return sentence(200, "The configuration was reloaded.")

    async def silences(self, request: Request) -> Response:
        """GET lists, POST adds (target, agent, provider, profile, condition, for, reason), DELETE removes (id)."""
        from exporter.alerts.lifecycle.policy import MATCHERS
        from exporter.lib.durations import parse_duration

        try:
            if request.method in ("GET", "HEAD"):
                return _as_json(await self._board.people.silences())
            form = await _form(request)
            if refused := self._guard.refuse(request, _csrf(request, form)):
                return refused
            if request.method == "DELETE":
                known = await self._board.people.remove_silence(request.query_params.get("id") or form.get("id", ""))
                return sentence(200, "Removed.") if known else sentence(404, "There is no silence of that id.")
            matchers = {name: form[name] for name in MATCHERS if form.get(name)}
            if not matchers:
                return sentence(400, f"Say what to mute: at least one of {', '.join(MATCHERS)}.")
            if matchers.get("condition") not in (None, *ConditionName):
                return sentence(400, f"There is no such condition; there are {', '.join(ConditionName)}.")
            try:
                seconds = parse_duration(form.get("for", ""))
            except ValueError as error:
                return sentence(400, f"for: {error}.")
            if not seconds:
                return sentence(400, f"for: {form['for']!r} is over at once.")
            made = await self._board.people.add_silence(matchers, seconds, form.get("reason", "")[:500])
            return _as_json(made) if "csrf" not in form else _home()
        except NoChannelError:
            return sentence(409, "Nothing notifies: configure a channel first.")

    async def acknowledge(self, request: Request) -> Response:
        form = await _form(request)
        if refused := self._guard.refuse(request, _csrf(request, form)):
            return refused
        try:
            known = await self._board.people.acknowledge(form.get("fingerprint", ""))
        except NoChannelError:
            return sentence(409, "Nothing notifies: configure a channel first.")
        if not known:
            return sentence(404, "No alert has that fingerprint.")
        return sentence(200, "Acknowledged.") if "csrf" not in form else _home()

    async def act(self, request: Request) -> Response:
        """A notification's button: GET asks, POST does it. The link itself is the permission, once."""
        from exporter.web import page

        token = request.path_params["token"]
        try:
            if request.method != "POST":
                return page.answer(page.action_page("Are you sure?", self._board.people.action(token), "Yes"))
            return page.answer(page.action_page("Done", await self._board.people.act(token)))
        except ValueError as error:
            return page.answer(page.action_page("Nothing was done", str(error)), 410)

    async def calendar(self, request: Request) -> Response:
        body = await asyncio.to_thread(self._board.calendar)
        return Response(body, headers={"Content-Type": "text/calendar; charset=utf-8"})

    async def login(self, request: Request) -> Response:
        from exporter.web import page

        if self._guard.token() is None:
            return sentence(403, "Nobody can sign in: configure web.token_file to allow it.")
        if request.method != "POST":
            return page.answer(page.login_page())
        done: Response = RedirectResponse("./", 303)
        refused = self._guard.log_in(request, (await _form(request)).get("token", ""), done)
        if refused is None:
            return done
        problem = bytes(refused.body).decode().strip()
        headers = {name: value for name, value in refused.headers.items() if name == "retry-after"}
        return page.answer(page.login_page(problem), refused.status_code, headers)

    async def logout(self, request: Request) -> Response:
        if refused := self._guard.refuse(request, _csrf(request, await _form(request))):
            return refused
        response = RedirectResponse("./", 303)
        self._guard.log_out(request, response)
        return response

    # -----------------------------------------------------------------------------------------

    async def _overview(self, limit: int | None = None) -> dict[str, Any] | None:
        """What is known of notifications; what cannot be read keeps nobody from seeing the rest."""
        try:
            return await self._board.people.overview(limit)
        except StateError as error:
            return {"problem": str(error), "channels": [], "firing": 0, "alerts": []}

    async def _json(self) -> Response:
        from exporter.present.as_json import encodable, to_json

        def render(report: Report, notifications: dict[str, Any] | None) -> str:
            more = {} if notifications is None else {"notifications": encodable(notifications)}
            return json.dumps({**to_json(report), **more}, ensure_ascii=False)

        # In a thread: with thousands of profiles this takes a while, and scrapes do not wait.
        body = await asyncio.to_thread(render, self._board.report(), await self._overview())
        return Response(body.encode(errors="replace"), headers={"Content-Type": "application/json"})

    def _unknown(self, target: str, agent: str | None) -> Response:
        names = [name for name, _ in self._board.scrape_targets()]
        if target in names and agent is not None:
            return sentence(400, f"The target {target!r} has no agent {_short(agent)!r}.")
        return sentence(400, f"There is no target {_short(target)!r}{_nearest(target, names)}.")


def _home() -> Response:
    """Back to our own page, whose button sent this."""
    return RedirectResponse("../../", 303)


def _as_json(value: object) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), headers={"Content-Type": "application/json"})


def probe_timeout(header: str | None) -> float:
    """Seconds a probe may take, from Prometheus' X-Prometheus-Scrape-Timeout-Seconds."""
    try:
        seconds = float(header or "")
    except ValueError:
        return PROBE_TIMEOUT
    if not math.isfinite(seconds) or seconds <= 0:
        return PROBE_TIMEOUT
    return min(max(seconds - PROBE_MARGIN, seconds / 2), MAX_PROBE_TIMEOUT)


def _nearest(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    if len(known) > 8:
        known = difflib.get_close_matches(name[:128], known, n=3, cutoff=0.4)
        return f"; near it are {', '.join(known)}" if known else ""
    return f"; there are {', '.join(known)}" if known else "; none is configured"


def _short(text: str) -> str:
    return text if len(text) <= 128 else text[:127] + "…"


async def _form(request: Request) -> dict[str, str]:
    """The fields of an HTML form (of two with one name the first) or of a JSON object of texts; else 400 or 415."""
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            made = json.loads(body)
        except (ValueError, RecursionError):
            made = None
        if not isinstance(made, dict) or not all(isinstance(value, str) for value in made.values()):
            raise HTTPException(400, "The body must be a JSON object of texts.")
        return made
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "The body must be a form (application/x-www-form-urlencoded) or JSON.")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None
    return {name: values[0] for name, values in fields.items()}


def _csrf(request: Request, form: dict[str, str]) -> str | None:
    return form.get("csrf", request.headers.get("x-csrf-token"))


_SENTENCES = {
    404: "There is nothing here: / links to what there is.",
    405: "This path does not take this method.",
}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return sentence(error.status_code, _SENTENCES.get(error.status_code, error.detail), error.headers)


async def _not_written(request: Request, error: Exception) -> Response:
    return sentence(503, f"This was not done: {error}.")


async def _failed(request: Request, error: Exception) -> Response:
    return sentence(500, "This is a bug in the exporter: its log has the details.")
