"""The routes, through ASGI: the answer of each, and a sentence for each bad request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fake_daemon import BEARER, FakeDaemon, ask, client, web
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import odd_ids
from starlette.types import Message, Receive, Scope, Send

from exporter.present import to_json
from exporter.web.app import create_app
from exporter.web.forms import probe_timeout
from exporter.web.responses import PIECE, Gate

# --- requests that read ------------------------------------------------------------------------------


async def test_metrics_are_the_rendered_exposition_of_the_daemon() -> None:
    daemon = FakeDaemon(body=b"\x1f\x8bcompressed", encoding="gzip")
    async with client(create_app(daemon, web())) as scraper:
        headers = [("Accept", "application/openmetrics-text"), ("Accept", "text/plain"), ("Accept-Encoding", "gzip")]
        async with scraper.stream("GET", "/metrics", headers=headers) as answer:
            body = b"".join([part async for part in answer.aiter_raw()])
    assert body == b"\x1f\x8bcompressed"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert daemon.calls[0][0] == "exposition"
    assert daemon.calls[0][1].endswith("application/openmetrics-text,text/plain")
    assert "gzip" in daemon.calls[0][2]


async def test_malformed_accept_headers_reach_the_daemon_unchanged() -> None:
    daemon = FakeDaemon()
    headers = {"Accept-Encoding": b"\xff;;q=nan,,gzip;q=9" + b"x" * 9000, "Accept": b"*/*;\xfe"}
    answer = await ask(daemon, "GET", "/metrics", headers=headers)
    assert (answer.status_code, answer.content) == (200, daemon.body)
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("10", 9.5),
        ("0.6", 0.3),
        ("1e99", 3600.0),
        (None, 60.0),
        ("", 60.0),
        ("soon", 60.0),
        ("nan", 60.0),
        ("inf", 60.0),
        ("-3", 60.0),
        ("0", 60.0),
    ],
)
def test_a_probe_leaves_a_margin_of_the_scrape_timeout(header: str | None, seconds: float) -> None:
    assert probe_timeout(header) == pytest.approx(seconds)


@settings(deadline=None)
@given(st.text())
def test_a_probe_timeout_is_always_finite_and_positive(header: str) -> None:
    assert 0 < probe_timeout(header) <= 3600


async def test_a_probe_hands_over_target_agent_and_timeout() -> None:
    daemon = FakeDaemon()
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "5"}
    answer = await ask(daemon, "GET", "/probe?target=rack7&agent=main", headers=headers)
    assert (answer.status_code, answer.text) == (200, "openclaw_auth_check_success 0\n")
    assert daemon.calls == [("probe", "rack7", "main", 4.5)]
    await ask(daemon, "GET", "/probe?target=home&agent=")
    assert daemon.calls[1] == ("probe", "home", None, 60.0)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "Name one target: /probe?target=NAME."),
        ("target=", "Name one target: /probe?target=NAME."),
        ("target=home&target=rack7", "Name one target: /probe?target=NAME."),
        ("target=home&agent=a&agent=b", "Name at most one agent: /probe?target=NAME&agent=ID."),
        ("target=nowhere", "There is no target 'nowhere'; known: home, rack7"),
        ("target=home&agent=ghost", "The target 'home' has no agent 'ghost'."),
        ("target=%0d%0aSet-Cookie:x", "There is no target '\\r\\nSet-Cookie:x'; known: home, rack7"),
        ("target=" + "x" * 5000, f"There is no target '{'x' * 127}…'; known: home, rack7"),
    ],
)
async def test_a_probe_of_an_unknown_target_or_agent_is_400_with_a_sentence(query: str, text: str) -> None:
    answer = await ask(FakeDaemon(), "GET", f"/probe?{query}")
    assert (answer.status_code, answer.text) == (400, text + "\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_an_internal_error_is_500_without_details() -> None:
    answer = await ask(FakeDaemon(), "GET", "/probe?target=bug")
    assert (answer.status_code, answer.text) == (
        500,
        "Internal error in the exporter. Its log has the details. Please report it.\n",
    )
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_service_discovery_is_http_sd() -> None:
    answer = await ask(FakeDaemon(), "GET", "/sd")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"targets": ["home"], "labels": {"__meta_openclaw_auth_source": "openclaw"}},
        {"targets": ["rack7"], "labels": {}},
    ]


async def test_status_is_check_as_json_and_as_a_line() -> None:
    daemon = FakeDaemon()
    answer = await ask(daemon, "GET", "/api/v1/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == json.dumps(to_json(daemon.shown), ensure_ascii=False)
    line = await ask(daemon, "GET", "/api/v1/status?format=line")
    assert (line.text, line.headers["content-type"]) == ("OK\n", "text/plain; charset=utf-8")
    other = await ask(daemon, "GET", "/api/v1/status?format=xml")
    assert other.status_code == 400
    assert other.text == "Unknown format: use json (the default) or line.\n"


async def test_odd_ids_get_through_json() -> None:
    shown = odd_ids()
    answer = await ask(FakeDaemon(shown=shown), "GET", "/api/v1/status")
    assert answer.status_code == 200
    first = answer.json()["targets"][0]["agents"][0]["profiles"][0]
    assert first["id"] == shown.targets[0].agents[0].profiles[0].id


async def test_health_and_readiness_say_why_not() -> None:
    for path, good, bad in (
        (
            "/-/healthy",
            "Healthy.\n",
            "Not healthy: the pulse has stopped. If this lasts, read the exporter's log and restart it.\n",
        ),
        ("/-/ready", "Ready.\n", "Not ready: the state is not open yet.\n"),
    ):
        answer = await ask(FakeDaemon(), "GET", path)
        assert (answer.status_code, answer.text) == (200, good)
        answer = await ask(FakeDaemon(down="the pulse has stopped", is_ready=False), "GET", path)
        assert (answer.status_code, answer.text) == (503, bad)


# --- what is not there -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/metrics/",
        "//metrics",
        "/METRICS",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/templates/status.html",
        "/api/v1/status/../../../x",
        "/\x00",
        "/%ff%fe",
        "/" + "a" * 8000,
    ],
)
async def test_other_paths_are_404(path: str) -> None:
    app = create_app(FakeDaemon(), web())
    answer = await raw(app, path.encode("latin-1"))
    assert answer[0] == 404
    assert answer[2] == b"There is nothing at this path: / links to all that there is.\n"


async def raw(app: Any, path: bytes, method: str = "GET", headers: Any = ()) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send a request with a path that client libraries would normalize."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 10785),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/probe", "/sd", "/api/v1/status", "/api/v1/check", "/-/reload"])
async def test_other_methods_are_405(method: str, path: str) -> None:
    daemon = FakeDaemon()
    answer = await ask(daemon, method, path, headers=BEARER)
    assert (answer.status_code, answer.text) == (405, "This path does not accept this method.\n")
    allowed = {"POST"} if path in ("/api/v1/check", "/-/reload") else {"GET", "HEAD"}
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert daemon.calls == []


@pytest.mark.parametrize("path", ["/", "/metrics", "/sd", "/api/v1/status", "/-/healthy", "/-/ready", "/login"])
async def test_head_is_answered_like_get(path: str) -> None:
    get, head = await ask(FakeDaemon(), "GET", path), await ask(FakeDaemon(), "HEAD", path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/api/v1/check", "/-/reload", "/logout"])
async def test_get_changes_nothing(path: str) -> None:
    daemon = FakeDaemon()
    assert (await ask(daemon, "GET", path, headers=BEARER)).status_code == 405
    assert daemon.calls == []


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/login", "/nothing", "/api/v1/status", "/-/healthy", "/api/v1/check"]
)
async def test_every_answer_has_the_security_headers(path: str) -> None:
    headers = (await ask(FakeDaemon(), "GET", path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


# --- what changes something --------------------------------------------------------------------


async def test_a_check_is_asked_for_with_the_token() -> None:
    daemon = FakeDaemon()
    answer = await ask(daemon, "POST", "/api/v1/check", headers=BEARER)
    assert (answer.status_code, answer.json()) == (200, json.loads(json.dumps(to_json(daemon.shown))))
    await ask(daemon, "POST", "/api/v1/check?target=home", headers=BEARER)
    await ask(daemon, "POST", "/api/v1/check", headers=BEARER, data={"target": "home"})
    assert daemon.calls == [("check_now", None), ("check_now", "home"), ("check_now", "home")]
    unknown = await ask(daemon, "POST", "/api/v1/check?target=nowhere", headers=BEARER)
    assert (unknown.status_code, unknown.text) == (400, "There is no target 'nowhere'; known: home, rack7\n")


async def test_a_body_that_is_no_form_is_refused_rather_than_ignored() -> None:
    daemon = FakeDaemon()
    answer = await ask(daemon, "POST", "/api/v1/check", headers=BEARER | {"Content-Type": "text/plain"}, content=b"x")
    text = "The body must be a form (application/x-www-form-urlencoded) or JSON.\n"
    assert (answer.status_code, answer.text) == (415, text)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"\xff\xfe", b"target=%ff", b"&".join(b"a%d=1" % number for number in range(40))):
        answer = await ask(daemon, "POST", "/api/v1/check", headers=BEARER | form, content=body)
        assert (answer.status_code, answer.text) == (400, "The form cannot be read.\n")
    assert daemon.calls == []


async def test_reload_tells_how_it_went() -> None:
    answer = await ask(FakeDaemon(), "POST", "/-/reload", headers=BEARER)
    assert (answer.status_code, answer.text) == (200, "The configuration was reloaded.\n")
    answer = await ask(FakeDaemon(problem="config.json5: intervall: unknown key"), "POST", "/-/reload", headers=BEARER)
    assert answer.status_code == 500
    assert answer.text == (
        "The configuration was not reloaded; the old one stays in effect: config.json5: intervall: unknown key\n"
    )


async def test_a_large_answer_is_sent_in_pieces_between_which_others_have_their_turn() -> None:
    body, sent, turns = bytes(range(256)) * 4096 * 3 + b"end", [], 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def send(message: Message) -> None:
        sent.append((turns, message))

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    waiting = asyncio.create_task(others())
    await Gate(app, [])({"type": "http"}, receive, send)
    waiting.cancel()
    pieces = [(turn, message) for turn, message in sent if message["type"] == "http.response.body"]
    assert b"".join(message["body"] for _, message in pieces) == body
    assert max(len(message["body"]) for _, message in pieces) <= PIECE
    assert [message.get("more_body", False) for _, message in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len({turn for turn, _ in pieces}) == len(pieces)
