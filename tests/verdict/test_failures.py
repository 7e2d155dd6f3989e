"""The steps for a check that fails: for each reason and source."""

from __future__ import annotations

import pytest
from reports import NOW, compare_golden

from exporter.config import Policy
from exporter.model import Dialect, Failure, FailureReason, Step, StepKind
from exporter.state.history import CredentialHistory
from exporter.verdict import Subject, evaluate
from exporter.verdict.failures import failure_steps, listing_failure_steps
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.releases import commands_of
from exporter.verdict.remedies import CommandContext

SOURCES = {
    "openclaw": Programs(),
    "openclaw over ssh": Programs(Invocation(ssh="me@vps")),
    "gateway": Programs(),
    "store": Programs(),
    "claude": Programs(),
}


def steps_for(reason: FailureReason, source: str, message: str = "it failed", **more: bool) -> tuple[Step, ...]:
    kind, release = source.partition(" ")[0], commands_of("2026.9.6", Dialect.ROUTES)
    context = CommandContext("main", release, SOURCES[source], is_claude_code=kind == "claude")
    return failure_steps(Failure(reason, message, NOW, **more), kind, context)


@pytest.mark.golden
def test_each_reason_has_its_steps() -> None:
    lines = []
    for reason in FailureReason:
        lines.append(reason.value)
        for source in SOURCES:
            texts = [f"{'$' if s.kind is StepKind.COMMAND else '#'} {s.text}" for s in steps_for(reason, source)]
            lines += [f"  {source}:", *(f"    {text}" for text in texts)]
    compare_golden("failures.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reason", FailureReason)
def test_no_failure_is_without_a_step(reason: FailureReason, source: str) -> None:
    steps = steps_for(reason, source)
    assert steps
    assert all(step.text[-1] in ".:" for step in steps if step.kind is not StepKind.COMMAND)


@pytest.mark.parametrize("message", ["Invalid config at x. Run: openclaw doctor --fix", "it failed"])
def test_old_store_or_configuration_is_converted(message: str) -> None:
    *_, command = steps_for(FailureReason.COMMAND_ERROR, "openclaw", message, needs_doctor=message == "it failed")
    assert command.text == "openclaw doctor --fix --non-interactive"


def test_profile_without_a_secret_breaks_the_oldest_release_until_it_is_stored_again() -> None:
    failure = Failure(FailureReason.COMMAND_ERROR, "Cannot read properties of undefined (reading 'trim')", NOW)
    context = CommandContext("main", commands_of("2026.2.9", Dialect.STATUS))
    texts = [step.text for step in failure_steps(failure, "openclaw", context, ["anthropic:b", "anthropic:a"])]
    assert [text.split()[:4] for text in texts[1:]] == [
        ["claude", "setup-token"],
        ["openclaw", "models", "auth", "paste-token"],
        ["openclaw", "models", "auth", "paste-token"],
    ]
    assert "--profile-id anthropic:a" in texts[2]


def test_failure_to_list_the_agents_has_steps_without_an_agent() -> None:
    failure = Failure(FailureReason.INVALID_OUTPUT, "no list", NOW)
    (step,) = listing_failure_steps(failure, "openclaw", Programs(Invocation(ssh="vps")))
    assert step.text == "ssh vps openclaw models status --check"


def test_remedy_says_on_which_host_the_gateway_runs() -> None:
    subject = Subject("rack", "main", "gateway", Programs(Invocation(host="rack7")))
    failure = Failure(FailureReason.NOT_ENABLED, "the plugin is off", NOW)
    report = evaluate(subject, None, failure, CredentialHistory(), Policy(), NOW)
    (failed,) = report.conditions
    assert failed.remedy == (
        "On rack7, as the user that runs the gateway:",
        "openclaw plugins enable admin-http-rpc",
        "openclaw gateway restart",
    )
    assert {step.where.host for step in failed.steps[1:]} == {"rack7"}
