"""Chooses the remedy of each condition: the bridge from verdicts to the steps in ``remedies``."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.model import Failure, Status, Step, command, note
from exporter.state.history import CredentialRecord
from exporter.verdict import recovery, remedies
from exporter.verdict.failures import failure_steps
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.logins import configured_lenders
from exporter.verdict.profile import ProfileVerdict
from exporter.verdict.provider import ProviderProfiles
from exporter.verdict.remedies import StoredCredential

#: How many profiles outside the order a remedy adds to it.
_MAX_ADDED = 10


def renew(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> tuple[Step, ...]:
    """Replaces a credential; one that is disabled, too, is renewed so that the disable ends."""
    state = profile.unusable
    if state is not None and state.reason in remedies.NEEDS_PERSON:
        return recover(inputs, providers, profile)
    if profile.is_gone and inputs.observation.needs_doctor:
        return remedies.doctor_steps(inputs.commands)
    return remedies.renewal_steps(_credential(inputs, profile), inputs.commands)


def recover(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> tuple[Step, ...]:
    """Ends a cooldown or disable."""
    assert profile.unusable is not None
    neighbours = (other.id for other in providers.of(profile.provider))
    credential = _credential(inputs, profile)
    return recovery.recovery_steps(credential, profile.unusable, inputs.commands, neighbours)


def supply(inputs: VerdictInputs, provider: str) -> tuple[Step, ...]:
    """Gives a provider its first credential, of the kind that it had before."""
    if inputs.observation.needs_doctor:
        return remedies.doctor_steps(inputs.commands)
    lenders = configured_lenders(inputs.observation, provider)
    records = [record for record in inputs.history.profiles.values() if record.provider == provider]
    last = max(records, key=lambda record: (record.last_seen_at, record.profile), default=None)
    kind = last.kind if last is not None and last.kind in ("token", "api_key", "oauth") else None
    return remedies.first_credential_steps(lenders[0] if lenders else provider, inputs.commands, kind)


def serve_again(
    inputs: VerdictInputs, providers: ProviderProfiles, profiles: Sequence[ProfileVerdict]
) -> tuple[Step, ...]:
    """Makes one of a provider's profiles work: the first that needs a person, else the first to recover."""

    def urgency(profile: ProfileVerdict) -> tuple[bool, bool, str]:
        recovers = profile.unusable is not None and profile.unusable.reason not in remedies.NEEDS_PERSON
        in_order = inputs.is_in_order(profile.observed)
        return not in_order, recovers and not profile.is_gone, profile.id

    first = min(profiles, key=urgency)
    is_down = first.unusable is not None and not first.is_gone
    steps = recover(inputs, providers, first) if is_down else renew(inputs, providers, first)
    return *_order(inputs, first.provider, profiles), *steps


def _order(inputs: VerdictInputs, provider: str, profiles: Sequence[ProfileVerdict]) -> tuple[Step, ...]:
    """Adds the profiles that work to the order that leaves them out."""
    order = inputs.observation.order.get(provider, ())
    left_out = [p.id for p in profiles if p.is_usable and not inputs.is_in_order(p.observed)]
    return recovery.order_steps(provider, order, left_out[:_MAX_ADDED], inputs.commands) if left_out else ()


def use_or_renew(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> tuple[Step, ...]:
    """For a login that may refresh at its next use."""
    sentence = f"Send a message to an agent that uses {profile.id}. If it is not renewed then, sign in again:"
    return note(sentence), *renew(inputs, providers, profile)


def replace_vanished(inputs: VerdictInputs, old: CredentialRecord) -> tuple[Step, ...]:
    if inputs.observation.needs_doctor:
        return remedies.doctor_steps(inputs.commands)
    sentence = f"If {old.profile} was removed on purpose, there is nothing to do. Otherwise store it again:"
    credential = StoredCredential(old.profile, old.provider, old.kind)
    return note(sentence), *remedies.renewal_steps(credential, inputs.commands)


def check_again(inputs: VerdictInputs, failure: Failure) -> tuple[Step, ...]:
    """Fixes a check that fails, or shows why it does."""
    records = inputs.history.profiles.values()
    tokens = [record.profile for record in records if (record.provider, record.kind) == ("anthropic", "token")]
    return failure_steps(failure, inputs.subject.source, inputs.commands, tokens)


def set_clock() -> tuple[Step, ...]:
    return note("Set the clock, or let the system synchronise it. This shows its state:"), command("timedatectl status")


def _credential(inputs: VerdictInputs, profile: ProfileVerdict) -> StoredCredential:
    seen = profile.observed
    credential = StoredCredential.of(seen)
    # OpenClaw does not always say why it cannot use a profile whose secret is kept elsewhere.
    gives_no_reason = profile.status is Status.MISSING and not seen.reason_code
    broken = credential.has_broken_reference or (gives_no_reason and seen.reference is not None)
    is_unexplained = gives_no_reason and seen.reference is None and seen.secret_hash is None
    owner = inputs.owner_of(seen)
    return credential._replace(owner=owner, has_broken_reference=broken, is_unexplained=is_unexplained)
