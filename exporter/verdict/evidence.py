"""The evidence of a profile's verdict, as the sentences that ``explain`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from exporter.lib.durations import iso
from exporter.model import Dialect, in_list
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.logins import PROGRAMS, delegates
from exporter.verdict.profile import ProfileVerdict

_MAX_NAMED = 10  # profiles in a note
_REFRESHES = {
    True: "it refreshes itself",
    False: "it cannot refresh itself",
    None: "nothing reports whether it can refresh itself",
}
_REFRESH_TOKEN = {
    True: " (the store holds a refresh token)",
    False: " (the store holds no refresh token)",
    None: "",
}

_USES_NOT_SEEN = (
    "not seen: the models of what works beside the chat, such as the heartbeat, sub-agents and cron jobs; "
    "they are in openclaw.json"
)


def evidence(inputs: VerdictInputs, profile: ProfileVerdict) -> tuple[str, ...]:
    """The facts that the verdict rests on, ending with the status and the rule that decided it."""
    sentences = (*_observed(profile), *_unusable(profile), *_recorded(inputs, profile))
    disagreement = (profile.disagreement,) if profile.disagreement else ()
    return tuple(map(_shared, (*sentences, *disagreement, f"{profile.status}: {profile.rule}")))


@lru_cache(maxsize=1024)
def _shared(sentence: str) -> str:
    """One copy of a sentence, which may be true of thousands of profiles."""
    return sentence


def use_notes(inputs: VerdictInputs) -> tuple[str, ...]:
    """Sentences about what each provider in use is used for, and what could not be seen of that."""
    if not inputs.was_observed or inputs.dialect is Dialect.LOGIN:
        return ()
    uses = {provider: inputs.uses(provider) for provider in inputs.providers_in_use}
    notes = [f"{provider} is in use: {in_list(found, most=10)}" for provider, found in uses.items() if found]
    if not inputs.sees_uses:
        notes.append(_USES_NOT_SEEN)
    return tuple(notes)


def login_notes(inputs: VerdictInputs) -> tuple[str, ...]:
    """Sentences about providers in use whose credential is another provider's, another program's, or not needed."""
    return tuple(_login_notes(inputs))


def _login_notes(inputs: VerdictInputs) -> Iterator[str]:
    seen = inputs.observation
    for provider in inputs.providers_in_use:
        if names := delegates(seen, provider):
            yield f"the login of {', '.join(names)} serves {provider}"
        if provider in seen.borrowed_logins and inputs.is_borrowed(provider):
            program = PROGRAMS.get(provider, "another program")
            yield f"the login of {provider} is kept by {program} and has a deadline of its own" + (
                ': a target with source "claude" checks it' if provider == "claude-cli" else ""
            )
        if inputs.is_keyless(provider):
            listed = " (OpenClaw lists it as missing)" if provider in seen.missing_providers else ""
            yield f"{provider} signs in without a credential of OpenClaw's{listed}"


def _observed(profile: ProfileVerdict) -> Iterator[str]:
    seen = profile.observed
    if seen.status is not None:
        yield f"OpenClaw reports {seen.status}" + (f" ({seen.reason_code})" if seen.reason_code else "")
    if seen.reference is not None:
        is_there = "cannot be found" if seen.reason_code == "unresolved_ref" else "is not in the store"
        yield f"its secret {is_there}: {seen.reference}"
    if seen.expires_at is not None:
        date = "access token's date" if seen.kind == "oauth" else "date"
        yield f"its {date} is {iso(seen.expires_at) or 'beyond the year 9999'}"
    if seen.login_ends_at is not None:
        yield f"its login ends at {iso(seen.login_ends_at)}"
    if seen.kind == "oauth":
        yield _REFRESHES[profile.refreshable] + _REFRESH_TOKEN[seen.has_refresh_token]


def _unusable(profile: ProfileVerdict) -> Iterator[str]:
    state = profile.observed.unusable
    if state is None:
        return
    until = f" until {iso(state.until)}" if state.until is not None else ""
    ended = "" if profile.unusable else ", which has ended"
    yield f"it is in {state.kind} ({state.reason or 'no reason given'}){until}{ended}"
    if profile.unusable and not profile.is_blocked:
        yield f"only for the model {profile.unusable.model}, which is not in use"


def _recorded(inputs: VerdictInputs, profile: ProfileVerdict) -> Iterator[str]:
    record = inputs.record(profile.id)
    if record:
        yield f"this credential was first seen at {iso(record.known_since)}"
        if profile.observed.expires_at is None and record.deadline is not None:
            yield f"the last date reported for it was {iso(record.deadline)}"
    if profile.observed.last_used_at is not None:
        yield f"it was last used at {iso(profile.observed.last_used_at)}"


def policy_notes(inputs: VerdictInputs) -> Iterator[str]:
    """What ``policy.providers`` keeps out of this report."""
    for provider in sorted(inputs.policy.providers):
        if inputs.needs_credential(provider):
            continue
        names = sorted(profile.id for profile in inputs.observation.profiles if profile.provider == provider)
        if names:
            shown = ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")
            yield (
                f"warning: policy.providers says that {provider} needs no credential, but it has profiles ({shown}): "
                "nothing about them is reported"
            )
        elif inputs.is_in_use(provider) is not False:
            yield f"policy.providers says that {provider} needs no credential, so nothing about it is reported"
