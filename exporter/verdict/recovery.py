"""The steps that end a cooldown or a disable of a credential, and those that let other profiles serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from exporter.lib.durations import iso
from exporter.model import Need, Step, StepAction, StepKind, Unusable, note, task
from exporter.verdict.releases import EndOfDisable
from exporter.verdict.remedies import (
    COPILOT,
    KEY_LOGINS,
    NEEDS_PERSON,
    CommandContext,
    StoredCredential,
    elsewhere_note,
    login_step,
    logout_step,
    make_token,
    new_secret_steps,
    paste_step,
    renewal_steps,
)

#: Where to pay, by provider. A setup-token is paid for by its subscription.
BILLING_PAGES = {
    "anthropic": "https://console.anthropic.com/settings/billing",
    "openai": "https://platform.openai.com/settings/organization/billing",
    "openrouter": "https://openrouter.ai/settings/credits",
}
SUBSCRIPTION_PAGE = "https://claude.ai/settings/billing"


def recovery_steps(
    credential: StoredCredential, unusable: Unusable, context: CommandContext, neighbours: Iterable[str] = ()
) -> tuple[Step, ...]:
    """What ends a cooldown or disable: money, a new credential, or time.

    A disable outlives its cause. ``neighbours`` are the profiles of the same provider.
    """
    context = context.at_owner(credential)
    if unusable.reason not in NEEDS_PERSON:
        return (wait_step(credential, unusable, context),)
    paid = (pay_step(credential, context),) if unusable.reason == "billing" else ()
    if credential.variable is not None or context.is_claude_code:
        return *paid, *renewal_steps(credential, context)
    if context.release.end_of_disable is EndOfDisable.TIME:
        renewed = () if paid else new_secret_steps(credential, context)
        other = f"Or do not wait: run that command with --profile-id {credential.provider}:new instead"
        has_name = any("--profile-id" in step.text for step in renewed)
        more = (note(f"{other}. OpenClaw tries a new profile at once.", context.place),) if has_name else ()
        return *paid, *renewed, wait_step(credential, unusable, context), *more
    if credential.provider == COPILOT or credential.kind not in ("token", "api_key"):
        return *paid, *new_secret_steps(credential, context)
    made = (make_token(),) if credential.is_setup_token else ()
    return (
        *paid,
        *elsewhere_note(credential, context),
        *made,
        *_ended_disable(credential, unusable, context, frozenset(neighbours)),
    )


def _ended_disable(
    credential: StoredCredential, unusable: Unusable, context: CommandContext, neighbours: frozenset[str]
) -> tuple[Step, ...]:
    """The steps that end the disable of a token or key and store it again."""
    release, paste = context.release, paste_step(credential, context)
    method = _login_method(credential)
    if release.end_of_disable is EndOfDisable.LOGOUT:
        return logout_step(credential, context), paste
    if method is None:
        return paste, wait_step(credential, unusable, context)
    login, default = login_step(credential, context, method), f"{credential.provider}:default"
    again = (paste,) if credential.is_setup_token else ()  # the login stores no date
    if release.end_of_disable is not EndOfDisable.LOGIN:
        return login, *again
    # These releases end the disable when they ask, so the stored secret can stay.
    begun = replace(login, is_done_at_prompt=True)
    secret = "token" if credential.kind == "token" else "key"
    cancel = f"The login ends the disable as soon as it asks for the {secret}"
    if release.login_takes_profile or credential.profile == default:
        kept = f"{cancel}. To keep the stored one, press Ctrl-C there and stop."
        return note(kept, context.place), begun, *again
    if default in neighbours or credential.is_setup_token:
        # What is pasted there would replace, or become, another profile.
        stop = note(f"{cancel}: press Ctrl-C there, and paste nothing.", context.place)
        return stop, replace(begun, needs=(Need.TERMINAL,)), paste
    return note(f"{cancel}, and stores what you paste as {default} too.", context.place), begun, paste


def _login_method(credential: StoredCredential) -> str | None:
    """The method of ``models auth login`` that asks for this kind of secret; None if the provider has none."""
    if credential.is_setup_token:
        return "setup-token"
    return "api-key" if credential.kind == "api_key" and credential.provider in KEY_LOGINS else None


def order_steps(
    provider: str, order: Sequence[str], left_out: Sequence[str], context: CommandContext
) -> tuple[Step, ...]:
    """The steps that let good profiles serve which the provider's order leaves out."""
    verb = "works, but is" if len(left_out) == 1 else "work, but are"
    sentence = f"{', '.join(left_out)} {verb} not in the order of {provider}. To let OpenClaw use more profiles:"
    names = ("models", "auth", "order", "set", "--provider", provider, "--agent", context.agent)
    return note(sentence, context.place), context.run("change the order", *names, *order, *left_out)


def wait_step(credential: StoredCredential, unusable: Unusable, context: CommandContext) -> Step:
    end = f"until {iso(unusable.until)}" if unusable.until is not None and iso(unusable.until) else "until it ends"
    no_command = unusable.reason in NEEDS_PERSON
    why = "no command of this release ends it sooner" if no_command else "it ends on its own"
    return Step(
        StepKind.WAIT,
        f"Wait {end}: then OpenClaw tries {credential.profile} again; {why}.",
        context.place,
        action=StepAction.READ,
    )


def pay_step(credential: StoredCredential, context: CommandContext) -> Step:
    page = billing_page(credential.provider, credential.kind)
    where = f": {page}" if page else " on its website."
    return task("pay", f"Top up, or fix the payment of {credential.provider}{where}")


def billing_page(provider: str, kind: str) -> str | None:
    """Where to pay for a credential; None if unknown."""
    return SUBSCRIPTION_PAGE if (provider, kind) == ("anthropic", "token") else BILLING_PAGES.get(provider)
