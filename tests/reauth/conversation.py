"""A simulated OpenClaw to renew credentials of, and a scripted terminal: no process, no clock.

The real verdict evaluates it. The test decides what each step changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reports import DAY, HOUR, NOW

from exporter.config import Config
from exporter.model import (
    AgentReport,
    Dialect,
    Failure,
    FailureReason,
    Observation,
    ObservedProfile,
    Report,
    TargetReport,
    Unusable,
)
from exporter.reauth.candidates import Selection
from exporter.reauth.guide import Guide
from exporter.reauth.plan import RenewalAction
from exporter.reauth.screen import TypedAnswers
from exporter.reauth.terminal import fold
from exporter.sources import SourceContext, build
from exporter.state.history import CredentialHistory, record_observation
from exporter.verdict import Subject, evaluate

DIALECTS = {"2026.2.9": Dialect.STATUS, "2026.6.11": Dialect.LISTING, "2026.9.6": Dialect.ROUTES}


def token(id: str = "anthropic:default", ends: float | None = -2 * HOUR, **rest: Any) -> ObservedProfile:
    """A setup-token that ends ``ends`` seconds from NOW; None has no date."""
    status = "static" if ends is None else "expired" if ends < 0 else "expiring" if ends < DAY else "ok"
    facts = {"expires_at": None if ends is None else NOW + ends, "secret_hash": "old", "has_refresh_token": False}
    return ObservedProfile(id, id.split(":")[0], "token", status, **(facts | rest))


def key(id: str = "openai:key", **rest: Any) -> ObservedProfile:
    return ObservedProfile(
        **{"id": id, "provider": id.split(":")[0], "kind": "api_key", "status": "static", "secret_hash": "old"} | rest
    )


def login(id: str = "openai:login", ends: float = -DAY) -> ObservedProfile:
    """An OAuth login that nothing can refresh."""
    status = "expired" if ends < 0 else "ok"
    return ObservedProfile(id, id.split(":")[0], "oauth", status, expires_at=NOW + ends, has_refresh_token=False)


def disabled(reason: str, left: float = 600.0) -> Unusable:
    return Unusable("disabled", reason, NOW + left)


class World:
    """The agents of one target and what they hold."""

    def __init__(
        self, *profiles: ObservedProfile, release: str = "2026.9.6", source: str = "openclaw", **target: Any
    ) -> None:
        kind = {"openclaw": "openclaw", "claude": "claude"}.get(source, source)
        self.config = Config.model_validate({"targets": [{"name": "home", "source": kind, **target}]})
        self.built = build(self.config.targets[0], SourceContext(str))
        self.agents: dict[str, dict[str, ObservedProfile]] = {"main": {p.id: p for p in profiles}}
        self.in_use = tuple(dict.fromkeys(p.provider for p in profiles)) or ("anthropic",)
        self.release = release
        self.source = source
        self.failure: str | None = None
        self.checks: list[list[str] | None] = []
        self._history: dict[str, CredentialHistory] = {}

    def store(self, profile: ObservedProfile, *agents: str) -> None:
        for agent in agents or ("main",):
            self.agents.setdefault(agent, {})[profile.id] = profile

    def change(self, id: str = "anthropic:default", **what: Any) -> None:
        for held in self.agents.values():
            if id in held:
                held[id] = replace(held[id], **what)

    def remove(self, id: str = "anthropic:default") -> None:
        for held in self.agents.values():
            held.pop(id, None)

    def renewed(self, id: str = "anthropic:default", **more: Any) -> Callable[[], None]:
        """What a good paste does: another secret, a date in a year."""
        return lambda: self.change(id, secret_hash="new", status="ok", expires_at=NOW + 365 * DAY, **more)

    def check(self, names: list[str] | None) -> Report:
        self.checks.append(names)
        agents = tuple(self._evaluated(name, held) for name, held in self.agents.items())
        return Report(NOW, (TargetReport("home", self.source, agents),))

    def _evaluated(self, name: str, held: Mapping[str, ObservedProfile]) -> AgentReport:
        dialect = Dialect.LOGIN if self.source == "claude" else DIALECTS[self.release]
        missing = frozenset(p for p in self.in_use if not any(one.provider == p for one in held.values()))
        seen = Observation(
            "home",
            name,
            self.source,
            dialect,
            NOW,
            tuple(held.values()),
            self.in_use,
            missing_providers=missing,
            openclaw_version=None if self.source == "claude" else self.release,
        )
        self._history[name] = record_observation(self._history.get(name, CredentialHistory()), seen, NOW)
        subject = Subject("home", name, self.source, self.built.programs())
        failure = Failure(FailureReason.TIMEOUT, self.failure, NOW) if self.failure else None
        return evaluate(subject, None if failure else seen, failure, self._history[name], self.config.policy, NOW)


Effect = tuple[int, Callable[[], None]] | int


@dataclass
class Scripted(TypedAnswers):
    """A phone's terminal: what was shown and asked there, in ``shown``; answers and outcomes in turn."""

    answers: list[str]
    outcomes: list[Effect] = field(default_factory=list)
    is_interactive: bool = True
    columns: int = 40
    shown: list[str] = field(default_factory=list)
    ran: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def say(self, text: str = "", indent: str = "") -> None:
        self.shown.append(fold(text, self.columns, indent))

    def show(self, command: str) -> None:
        self.shown.append(f"  {command}")

    def ask(self, question: str) -> str:
        self.say(question)
        answer = self.answers.pop(0)
        if answer == "^C":
            self.shown.append("> ^C")
            raise KeyboardInterrupt
        self.shown.append(f"> {answer}".rstrip())
        return answer

    def run(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        return self._done(f"[runs {action.text}]", action.text, environment)

    def paste(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        self.request_paste(action)
        what = "a setup-token" if action.is_token else "a secret"
        shown = f"[takes {what} for {action.text}{' >/dev/null' if action.echoes else ''}]"
        return self._done(shown, action.text, environment)

    def _done(self, line: str, command: str, environment: Mapping[str, str]) -> int:
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        code, effect = outcome if isinstance(outcome, tuple) else (outcome, lambda: None)
        self.shown.append(line if code == 0 else f"{line[:-1]}: exit code {code}]")
        self.ran.append((command, environment))
        effect()
        return code

    @property
    def text(self) -> str:
        return "\n".join(self.shown) + "\n"


def talk(
    world: World,
    screen: Scripted,
    selection: Selection | None = None,
    programs: tuple[str, ...] = ("claude", "openclaw"),
    resolved: str | None = None,
) -> int:
    """One ``reauth`` in ``world``; its exit code."""
    guide = Guide(
        world.config,
        selection or Selection(),
        screen,
        world.check,
        lambda name: world.built,
        lambda targets: resolved,
        which=lambda name: f"/usr/bin/{name}" if name in programs else None,
    )
    return guide.run()
