"""The steps that fix a check which fails, or show why it does."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model import Failure, FailureReason, Need, Step, StepKind, command, note
from exporter.verdict.invocation import Programs
from exporter.verdict.releases import NEWEST
from exporter.verdict.remedies import CommandContext, StoredCredential, doctor_steps, renewal_steps, restart_step

#: What 2026.2 prints, instead of a status, if a profile holds no secret.
_NO_SECRET = "(reading 'trim')"


def failure_steps(
    failure: Failure, source: str, context: CommandContext, tokens: Iterable[str] = ()
) -> tuple[Step, ...]:
    """What to do about ``failure`` of a target with this ``source``.

    ``tokens`` are the profiles of Anthropic tokens that earlier checks saw.
    """
    if failure.needs_doctor or "openclaw doctor --fix" in failure.message:
        return doctor_steps(context)
    match failure.reason:
        case FailureReason.STALE:
            return (note("Restart the exporter: systemctl --user restart openclaw-auth-exporter, if systemd runs it."),)
        case FailureReason.OTHER:
            return (note("This is a mistake in the exporter: please report it with the lines of its log."),)
        case FailureReason.PERMISSION:
            sentence = "Run the exporter as the user who owns what the summary names, or let its user read and run that"
            return (note(f"{sentence}.", context.place),)
        case FailureReason.KILLED:
            sentence = "The system ended the command, most often because it had no memory left. Try it there:"
            return note(sentence, context.place), *_diagnosis(source, context)
    if source == "gateway":
        return _gateway_steps(failure, context)
    if source == "store":
        return _store_steps(failure, context)
    return _command_steps(failure, source, context, tokens)


def listing_failure_steps(failure: Failure, source: str, programs: Programs) -> tuple[Step, ...]:
    """What to do if the agents of a target could not be listed. The release is not known then."""
    context = CommandContext("*", NEWEST, programs, is_claude_code=source == "claude")
    return failure_steps(failure, source, context)


def _command_steps(failure: Failure, source: str, context: CommandContext, tokens: Iterable[str]) -> tuple[Step, ...]:
    ssh, place = context.openclaw.ssh, context.place
    program = "claude" if source == "claude" else "openclaw"
    match failure.reason:
        case FailureReason.COMMAND_NOT_FOUND:
            sentence = f"Set the target's `command` to the full path of {program}, which this prints where it works:"
            return note(sentence), context.openclaw.shell("command", "-v", program, place=place)
        case FailureReason.UNKNOWN_AGENT:
            sentence = "Set the target's `agents` to agents that there are, or to all:"
            return note(sentence), context.run("list the agents", "agents", "list")
        case FailureReason.TIMEOUT:
            sentence = "See how long this takes, and set the target's `timeout` to more:"
            return note(sentence), *_diagnosis(source, context)
        case FailureReason.CONNECTION | FailureReason.UNAUTHORIZED if ssh is not None:
            sentence = "The exporter signs in without asking anything. This must print nothing and succeed:"
            return note(sentence), context.openclaw.shell("true", place=place)
        case FailureReason.COMMAND_ERROR if _NO_SECRET in failure.message and source == "openclaw":
            sentence = "This release prints this if a profile holds no secret. Store it again:"
            profiles = sorted(tokens) or ["anthropic:default"]
            renewed = (renewal_steps(StoredCredential(p, "anthropic", "token"), context) for p in profiles)
            return note(sentence, place), *dict.fromkeys(step for steps in renewed for step in steps)
    return _diagnosis(source, context)


def _diagnosis(source: str, context: CommandContext) -> tuple[Step, ...]:
    """The command that the check runs, for a person to see what it says."""
    if context.is_claude_code or source == "claude":
        return (command(context.programs.claude.line("auth", "status"), context.place),)
    if source == "gateway":
        return (context.run("show the gateway", "gateway", "status"),)
    return (context.status("--check"),)


def _gateway_steps(failure: Failure, context: CommandContext) -> tuple[Step, ...]:
    restart = restart_step(context)
    match failure.reason:
        case FailureReason.NOT_ENABLED:
            return context.run("enable the RPC", "plugins", "enable", "admin-http-rpc"), restart
        case FailureReason.UNAUTHORIZED:
            token = "The target's token must be the gateway's: `gateway.auth.token` in its openclaw.json."
            return (note(token, context.place),)
        case FailureReason.NOT_READY:
            return (Step(StepKind.WAIT, "Wait a minute: the gateway is still starting.", context.place),)
        case FailureReason.UNKNOWN_AGENT:
            sentence = "Set the target's `agents` to agents that there are, or to all:"
            return note(sentence), context.run("list the agents", "agents", "list")
    return context.run("show the gateway", "gateway", "status"), restart


def _store_steps(failure: Failure, context: CommandContext) -> tuple[Step, ...]:
    if failure.reason is FailureReason.UNKNOWN_AGENT:
        return (note("Set the target's `agents` to agents that there are, or to all.", context.place),)
    if failure.reason is FailureReason.TIMEOUT:
        return (note("The disk or network folder with the store does not answer: make it answer.", context.place),)
    sentence = "Set the target's `state_dir` to OpenClaw's state folder. If it is, this shows what is wrong with it:"
    return note(sentence), context.run("examine it", "doctor", needs=(Need.TERMINAL,))
