"""Renewing a credential from the page: ``reauth`` with a browser instead of a terminal (``web.reauth``).

Only for a browser that is signed in, over a connection that nobody can read along. A renewal belongs to the session
that started it: no other sees its links or may enter anything.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from exporter.model.renewals import (
    RenewalPhase,
    RenewalPreview,
    RenewalRefusedError,
    RenewalSubject,
    RenewalView,
)
from exporter.web.forms import read_form
from exporter.web.late import load
from exporter.web.limits import client_of
from exporter.web.links import renewal_path
from exporter.web.responses import sentence
from exporter.web.sessions import Guard, Session

#: How long an answer waits for what an entry changes, in seconds.
SETTLE = 2.0
_NOT_PRIVATE = (
    "A credential is renewed only where nobody can read along: over https, at the https address of web.external_url, "
    "or on this host itself (127.0.0.1)."
)
_NO_SUCH = "You have no such renewal: it has ended, or another browser started it."


class RunsRenewals(Protocol):
    """What the page needs to renew credentials. ``owner`` is a browser session."""

    def preview(self, subject: RenewalSubject) -> RenewalPreview:
        """What a renewal would do. Blocks. Raises KeyError for a credential that does not exist."""

    def start(self, subject: RenewalSubject, owner: str, by: str) -> str:
        """Start a renewal and return its id. Blocks. Raises KeyError and RenewalRefusedError."""

    def view(self, id: str, owner: str) -> RenewalView | None:
        """The state of a renewal; None if the owner has no such renewal."""

    def enter(self, id: str, owner: str, kind: str, value: str) -> None:
        """Pass on what a person entered."""

    def end(self, owner: str | None = None, why: str = "") -> None:
        """End the renewals of a session, or all."""

    async def stop(self) -> None:
        """End all renewals, and wait for the end of their programs."""


class RenewalSite:
    """The routes of renewals."""

    def __init__(self, renewals: RunsRenewals, guard: Guard, zone: Callable[[], dt.tzinfo]) -> None:
        """``zone`` is the time zone of the pages."""
        self._renewals = renewals
        self._guard = guard
        self._zone = zone

    def routes(self) -> list[Route]:
        return [
            Route("/renew", _private(self._guard, self.preview)),
            Route("/renew/{id}", _private(self._guard, self.show)),
            Route("/renew/{id}", _private(self._guard, self.enter), methods=["POST"]),
            Route("/api/v1/reauth", _private(self._guard, self.start), methods=["POST"]),
        ]

    async def preview(self, request: Request) -> Response:
        """Shows what a renewal would do, and asks. A plain link leads here; it starts nothing."""
        from exporter.web import renewal_pages

        session, subject = self._guard.session(request), subject_of(request.query_params)
        if session is None:
            return self._sign_in(request, subject)
        try:
            preview = await asyncio.to_thread(self._renewals.preview, subject)
        except KeyError:
            return sentence(404, "There is no such credential: open the status page.")
        return renewal_pages.preview_page(preview, session.csrf, self._zone())

    def _sign_in(self, request: Request, subject: RenewalSubject) -> Response:
        from exporter.web import page, renewal_pages

        if self._guard.token() is None:
            return sentence(403, "Nobody can sign in: set web.token_file to allow it.")
        comes_from_elsewhere = request.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
        if comes_from_elsewhere and "again" not in request.query_params:
            # Browsers send the session's cookie only with requests of our own pages, so ours asks again.
            return renewal_pages.again_page(f"{renewal_path(subject)}&again=1")
        return page.answer(renewal_pages.sign_in_page(subject))

    async def start(self, request: Request) -> Response:
        form = await read_form(request)
        session = self._require(request, form)
        client = client_of(request.scope)
        try:
            id = await asyncio.to_thread(self._renewals.start, subject_of(form), session.csrf, client)
        except KeyError:
            return sentence(404, "There is no such credential: open the status page.")
        except RenewalRefusedError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
            return sentence(409, str(error), headers)
        return RedirectResponse(f"../../renew/{id}", 303)

    async def show(self, request: Request) -> Response:
        from exporter.web import renewal_pages

        session = self._guard.session(request)
        view = self._renewals.view(request.path_params["id"], session.csrf) if session is not None else None
        if session is None or view is None:
            return sentence(404, _NO_SUCH)
        is_typing = "type" in request.query_params
        return renewal_pages.renewal_page(view, session.csrf, self._zone(), is_typing=is_typing)

    async def enter(self, request: Request) -> Response:
        """Takes one entry: a field ``text``, ``secret``, ``key``, ``answer`` or ``cancel``."""
        form = await read_form(request)
        session, id = self._require(request, form), request.path_params["id"]
        before = self._renewals.view(id, session.csrf)
        if before is None:
            return sentence(404, _NO_SUCH)
        for kind in ("cancel", "text", "secret", "key", "answer"):
            if kind in form:
                self._renewals.enter(id, session.csrf, kind, form[kind])
                await self._settle(id, session.csrf, before)
                break
        return RedirectResponse(f"./{quote(id, safe='')}", 303)

    async def _settle(self, id: str, owner: str, before: RenewalView) -> None:
        """Wait until the entry has changed something: the next page is then up to date."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + SETTLE
        while (view := self._renewals.view(id, owner)) is not None and loop.time() < ends:
            if view.version != before.version and view.phase is not RenewalPhase.WORKING:
                return
            await asyncio.sleep(0.05)

    def _require(self, request: Request, form: Mapping[str, str]) -> Session:
        """The session of a request that may change something. Raises HTTPException."""
        self._guard.require(request, form.get("csrf"))
        session = self._guard.session(request)
        if session is None:  # the bearer of the token, which no page belongs to
            raise HTTPException(403, "Only a browser that is signed in can renew a credential: sign in at /login.")
        return session


Handler = Callable[[Request], Awaitable[Response]]


def _private(guard: Guard, handler: Handler) -> Handler:
    """``handler`` for requests that nobody can read along."""

    async def guarded(request: Request) -> Response:
        if not guard.is_private(request):
            return sentence(403, _NOT_PRIVATE)
        await load("exporter.web.renewal_pages")
        return await handler(request)

    return guarded


def subject_of(fields: Mapping[str, str]) -> RenewalSubject:
    """The credential that a form or a link names."""
    return RenewalSubject(*(fields.get(name, "") for name in ("target", "agent", "profile")))
