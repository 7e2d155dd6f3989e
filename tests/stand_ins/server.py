"""A stand-in for a gateway's HTTP port: the admin RPC plugin and the probes.

It answers from the World that it is given, so a change of that World changes the next answer. Status codes
and bodies are those of a real gateway of 2026.9.6.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from exporter.lib import clock
from exporter.model import FailureReason
from exporter.simulator.world import Fault, World
from stand_ins.gateway import agents_list_json, gateway_json, health_json, usage_json

RPC_PATH = "/api/v1/admin/rpc"
#: The fault that makes a check of a gateway fail with each reason.
_AS_FAULT = {
    FailureReason.NOT_READY: Fault.NOT_READY,  # in the payload
    FailureReason.NOT_ENABLED: Fault.NOT_ENABLED,
    FailureReason.UNAUTHORIZED: Fault.UNAUTHORIZED,
    FailureReason.INVALID_OUTPUT: Fault.HTML,
    FailureReason.TIMEOUT: Fault.SLOW,
}


def gateway_app(world: World, token: str, now: Callable[[], float] = clock.now) -> Starlette:
    """The ASGI application of a gateway with the state ``world``, which expects ``token``."""

    async def rpc(request: Request) -> Response:
        fault, amount = _fault(world)
        if fault is Fault.SLOW:
            await asyncio.sleep(amount)
        if fault is Fault.REDIRECT:
            return RedirectResponse("/login", 302)
        if fault is Fault.HTML:
            return HTMLResponse("<!doctype html><html><title>OpenClaw Control</title></html>")
        if fault is Fault.NOT_ENABLED:
            return PlainTextResponse("Not Found", 404)
        given = request.headers.get("authorization", "")
        if fault is Fault.UNAUTHORIZED or not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return JSONResponse({"error": {"message": "Unauthorized", "type": "unauthorized"}}, 401)
        if request.method != "POST":
            refusal = {"type": "method_not_allowed", "message": "Method Not Allowed"}
            return JSONResponse({"ok": False, "error": refusal}, 405, {"Allow": "POST"})
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _invalid("request body must be valid JSON")
        if not isinstance(body, dict):
            return _invalid("request body must be an object")
        method, params = body.get("method"), body.get("params") or {}
        if not isinstance(method, str) or not method.strip():
            return _invalid("method must be a non-empty string")
        if fault is Fault.UNAVAILABLE:
            error: dict[str, Any] = {
                "code": "UNAVAILABLE",
                "message": "gateway starting; retry shortly",
                "retryable": True,
                "retryAfterMs": round(amount * 1000),
            }
            return _answer(body, 503, error=error)
        return _dispatch(world, body, method, params, now())

    async def live(request: Request) -> Response:
        return JSONResponse({"ok": True, "status": "live"})

    async def ready(request: Request) -> Response:
        ready = _fault(world)[0] is not Fault.UNAVAILABLE
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def login(request: Request) -> Response:
        return HTMLResponse("<!doctype html><html><title>Sign in</title></html>")

    anything = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    return Starlette(
        routes=[
            Route(RPC_PATH, rpc, methods=anything),
            Route("/healthz", live),
            Route("/readyz", ready),
            Route("/login", login, methods=anything),
        ]
    )


def _fault(world: World) -> tuple[Fault | None, float]:
    for fault in (Fault.SLOW, Fault.REDIRECT, Fault.HTML, Fault.NOT_ENABLED, Fault.UNAUTHORIZED, Fault.UNAVAILABLE):
        if fault in world.faults:
            return fault, world.faults[fault]
    if world.broken is None:
        return None, 0
    fault = _AS_FAULT.get(world.broken, Fault.UNAVAILABLE)
    return fault, 3600 if fault is Fault.SLOW else 5


def _answer(body: dict[str, Any], status: int, **rest: Any) -> Response:
    return JSONResponse(
        {"id": str(body.get("id") or "1"), "ok": status == 200, **rest}, status, {"Cache-Control": "no-store"}
    )


def _invalid(message: str) -> Response:
    return JSONResponse({"ok": False, "error": {"type": "invalid_request", "message": message}}, 400)


def _dispatch(world: World, body: dict[str, Any], method: str, params: Any, now: float) -> Response:
    agent = params.get("agentId") if isinstance(params, dict) else None
    if method == "models.authStatus":
        if agent and agent not in world.agents:
            error: dict[str, Any] = {
                "code": "INVALID_REQUEST",
                "message": f'unknown agent id "{agent}"',
                "details": {"code": "UNKNOWN_AGENT_ID", "agentId": agent},
            }
            return _answer(body, 400, error=error)
        return _answer(body, 200, payload=gateway_json(world, now))
    if method == "agents.list":
        return _answer(body, 200, payload=agents_list_json(world))
    if method == "health":
        return _answer(body, 200, payload=health_json(world, now), meta={"cached": True})
    if method == "usage.status":
        return _answer(body, 200, payload=usage_json(world, now))
    error = {"code": "INVALID_REQUEST", "message": f"admin HTTP RPC method is not supported: {method}"}
    return _answer(body, 400, error=error)
