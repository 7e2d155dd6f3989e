"""The HTML pages of renewals. Where a person has nothing to enter, a script follows; without one they reload."""

from __future__ import annotations

import datetime as dt

from starlette.responses import Response

from exporter.model.renewals import RenewalPhase, RenewalPreview, RenewalSubject, RenewalView
from exporter.web import page

#: How often a page without a field reloads in a browser without scripts, in seconds.
_RELOAD = 2


def preview_page(preview: RenewalPreview, csrf: str, zone: dt.tzinfo) -> Response:
    """The steps of a renewal, and the button that starts it. Times are in ``zone``."""
    return page.answer(page.render("renew.html", zone, preview=preview, csrf=csrf))


def sign_in_page(subject: RenewalSubject) -> str:
    """The sign-in form that leads back to the renewal."""
    return page.login_page(None, subject)


def again_page(path: str) -> Response:
    """A page that opens ``path`` at once."""
    return page.answer(page.render("again.html", path=path))


def renewal_page(view: RenewalView, csrf: str, zone: dt.tzinfo, *, is_typing: bool) -> Response:
    """The state of a renewal, with times in ``zone``.

    ``is_typing``: the person wants to type for a program, so it does not reload.
    """
    has_field = view.phase in (RenewalPhase.SECRET, RenewalPhase.QUESTION) or view.asks_code
    is_typing = is_typing and view.phase is RenewalPhase.TERMINAL
    reloads = view.phase is not RenewalPhase.ENDED and not has_field and not is_typing
    reload = _RELOAD if reloads else None
    html = page.render("renewal.html", zone, view=view, csrf=csrf, reload=reload, is_typing=is_typing, home="../")
    return page.answer(html, script=page.FOLLOW)
