"""The steps that fix a credential: what a person types for one profile, agent, host and OpenClaw release.

The verdict and reminders show these steps, ``reauth`` runs their commands. Which commands heal was tried on
the releases that ``releases`` names. ``recovery`` has the steps for a credential that is out of use,
``failures`` those for a check that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from exporter.lib.shell import quote
from exporter.model import (
    AgentReport,
    Dialect,
    Need,
    ObservedProfile,
    Place,
    ProfileReport,
    Step,
    StepAction,
    StepKind,
    command,
    note,
    task,
)
from exporter.verdict.invocation import DEFAULT_STATE_DIR, Invocation, Programs
from exporter.verdict.releases import AgentOption, CommandSet, EndOfDisable, commands_of

#: Lifetime of a setup-token unless ``policy.setup_token_lifetime`` says otherwise.
TOKEN_LIFETIME = "365d"

#: A setup-token as Claude Code prints it: its first characters and its length.
TOKEN_BEGINS, TOKEN_LENGTH = "sk-ant-oat01-", 108

#: Reasons of a cooldown or disable that only a person can resolve.
NEEDS_PERSON = frozenset({"auth", "auth_permanent", "session_expired", "billing"})

#: Providers for which 2026.2 signs in through its wizard; its ``models auth login`` serves plugins only.
_WIZARD_LOGINS = frozenset({"anthropic", "openai", "openai-codex", "chutes"})
#: Providers that have logins and no keys.
_LOGINS_ONLY = frozenset(
    {"chutes", "google-antigravity", "google-gemini-cli", "minimax-portal", "openai-codex", "qwen-portal"}
)
#: Providers whose ``models auth login`` has the method ``api-key`` on every release that has the command.
KEY_LOGINS = frozenset(
    {"alibaba", "anthropic", "fal", "google", "huggingface", "litellm", "nvidia", "openai", "opencode-go", "openrouter"}
    | {"runway", "together", "xai"}
)
#: Servers on one's own machine, which need no key; OpenClaw still wants one. And the variable that may hold it.
_ANY_KEY = {"ollama": "OLLAMA_API_KEY", "sglang": "SGLANG_API_KEY", "vllm": "VLLM_API_KEY"}
COPILOT, _COPILOT_PROFILE = "github-copilot", "github-copilot:github"
_CLAUDE_CLI = "claude-cli"
#: Providers that a cloud's own credentials serve.
_CLOUDS = {
    "amazon-bedrock": "AWS credentials, for example AWS_PROFILE",
    "google-vertex": "Google Cloud credentials, for example GOOGLE_APPLICATION_CREDENTIALS",
}


class StoredCredential(NamedTuple):
    """The credential that a remedy is about."""

    profile: str
    provider: str
    kind: str
    owner: str | None = None  # the agent whose store has it, if known
    reference: str | None = None  # SOURCE:PROVIDER:ID of a secret that is kept elsewhere
    has_broken_reference: bool = False
    is_unexplained: bool = False  # OpenClaw does not use it, and neither it nor the store says why
    is_first: bool = False  # the provider has none yet

    @classmethod
    def of(cls, profile: ObservedProfile | ProfileReport) -> StoredCredential:
        broken = profile.reason_code == "unresolved_ref"
        return cls(profile.id, profile.provider, profile.kind, profile.owner, profile.reference, broken)

    @property
    def variable(self) -> str | None:
        """The environment variable that holds it; None if it is in a store."""
        return self.profile.removeprefix("env:") if self.profile.startswith("env:") else None

    @property
    def is_setup_token(self) -> bool:
        return (self.kind, self.provider) == ("token", "anthropic")


class CommandContext(NamedTuple):
    """What decides how the commands for one agent are spelled."""

    agent: str
    release: CommandSet
    programs: Programs = Programs()
    token_lifetime: str = TOKEN_LIFETIME  # as OpenClaw's ``--expires-in`` takes it
    agent_dir: str | None = None  # the agent's folder, if OpenClaw reported it
    is_claude_code: bool = False  # the target is Claude Code itself, without OpenClaw

    @classmethod
    def of(cls, agent: AgentReport, programs: Programs, token_lifetime: str) -> CommandContext:
        """The context of an agent that was checked."""
        release = commands_of(agent.openclaw_version, agent.dialect)
        is_claude_code = agent.dialect is Dialect.LOGIN
        return cls(agent.agent, release, programs, token_lifetime, agent.agent_dir, is_claude_code)

    @property
    def openclaw(self) -> Invocation:
        return self.programs.openclaw

    @property
    def place(self) -> Place:
        place = (self.programs.claude if self.is_claude_code else self.openclaw).place
        return replace(place, home=None) if self.is_claude_code else place

    def at_owner(self, credential: StoredCredential) -> CommandContext:
        """The context of the agent whose store has the credential: renewed there, all its heirs have it."""
        if credential.owner in (None, self.agent) or not self.release.inherits:
            return self
        return self._replace(agent=str(credential.owner), agent_dir=None)

    def run(self, title: str, *arguments: str, needs: Sequence[Need] = ()) -> Step:
        return command(self.openclaw.line(*arguments, tty=bool(needs)), self.place, *needs, title=title)

    def auth(self, title: str, *arguments: str, needs: Sequence[Need] = ()) -> Step:
        """A ``models auth`` command about the agent."""
        return command(self._auth_line(*arguments, tty=bool(needs)), self.place, *needs, title=title)

    def paste(self, title: str, *arguments: str) -> Step:
        """A ``models auth`` command that reads a secret."""
        typed, piped = (self._auth_line(*arguments, tty=tty) for tty in (True, False))
        needs = (Need.TERMINAL, Need.SECRET)
        echoes = self.release.echoes
        return Step(StepKind.COMMAND, typed, self.place, needs, StepAction.PASTE, title, piped=piped, echoes=echoes)

    def status(self, *options: str) -> Step:
        """The command that shows the agent's credentials."""
        agent = ("--agent", self.agent) if self.release.status_takes_agent and self.agent != "*" else ()
        return self.run("show its credentials", "models", "status", *options, *agent)

    def _auth_line(self, *arguments: str, tty: bool = True) -> str:
        """Recent releases insist on ``--agent`` if there are several agents."""
        option = ("--agent", self.agent)
        if self.release.agent_option is AgentOption.AFTER:
            return self.openclaw.line("models", "auth", *arguments, *option, tty=tty)
        if self.agent == "main":
            return self.openclaw.line("models", "auth", *arguments, tty=tty)
        if self.release.agent_option is AgentOption.BEFORE:
            return self.openclaw.line("models", "auth", *option, *arguments, tty=tty)
        return self.openclaw.line("models", "auth", *arguments, tty=tty, agent_dir=self.folder)

    @property
    def folder(self) -> str:
        """The agent's folder, where releases without a database keep its store."""
        return self.agent_dir or f"{self.openclaw.home or DEFAULT_STATE_DIR}/agents/{self.agent}/agent"

    def wizard(self, needs: Sequence[Need]) -> Step:
        """The step that runs OpenClaw's wizard for the agent, on releases that sign in by it."""
        folder = None if self.agent == "main" else self.folder
        line = self.openclaw.line("configure", "--section", "model", agent_dir=folder)
        return command(line, self.place, *needs, title="use OpenClaw's wizard")


_LOGIN = (Need.TERMINAL, Need.BROWSER)
_SECRET = (Need.TERMINAL, Need.SECRET)


# --- a new credential ------------------------------------------------------------------------------


def renewal_steps(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    """The steps that replace a credential which expired or was revoked, or that OpenClaw cannot use."""
    context = context.at_owner(credential)
    if credential.variable is not None:
        return _variable_steps(credential.variable, context)
    if context.is_claude_code:
        return (command(context.programs.claude.line("auth", "login"), context.place, *_LOGIN, title="sign in"),)
    if credential.has_broken_reference:
        return _reference_steps(credential, context)
    takes_no_key = context.release.end_of_disable is EndOfDisable.LOGOUT  # over a reference, which nothing may show
    if credential.is_unexplained and credential.kind == "api_key" and takes_no_key:
        return logout_step(credential, context), paste_step(credential, context)
    return *elsewhere_note(credential, context), *new_secret_steps(credential, context)


def elsewhere_note(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    """Where else the new secret may go: to the place that a profile refers to."""
    if credential.reference is None or credential.reference.startswith("store:"):  # OpenClaw's own
        return ()
    sentence = f"{credential.profile} takes its secret from {credential.reference}: put the new one there"
    return (note(f"{sentence}. Or give it to OpenClaw itself:", context.place),)


def first_credential_steps(provider: str, context: CommandContext, kind: str | None = None) -> tuple[Step, ...]:
    """The steps that give a provider its first credential, of the ``kind`` that it had before."""
    if provider in _CLOUDS:
        return _cloud_steps(provider, context)
    if provider in _ANY_KEY:
        paste = paste_step(StoredCredential(f"{provider}:default", provider, "api_key"), context)
        sentence = f"{provider} needs no key, but OpenClaw wants one. Any value will do, for example {provider}-local."
        return note(f"{sentence} Or set {_ANY_KEY[provider]} to it where the gateway runs.", context.place), paste
    name = f"{provider}:default"
    credential = StoredCredential(name, provider, kind or first_credential_kind(provider), is_first=True)
    if provider == COPILOT:
        return (_copilot_login(_COPILOT_PROFILE, context),)
    return renewal_steps(credential, context)


def first_credential_kind(provider: str) -> str:
    """The kind of credential to give a provider that never had one."""
    if provider == "anthropic":
        return "token"
    return "oauth" if provider in _LOGINS_ONLY or provider in (COPILOT, _CLAUDE_CLI, "codex-cli") else "api_key"


def new_secret_steps(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    provider, release = credential.provider, context.release
    if provider == _CLAUDE_CLI:
        return _borrowed_login_steps(context)
    if provider == "codex-cli":
        return (command(context.openclaw.beside("codex").line("login"), context.place, *_LOGIN, title="sign in"),)
    if provider == COPILOT:
        return _copilot_steps(credential, context)
    if credential.is_setup_token:
        return make_token(), paste_step(credential, context)
    if credential.kind == "token":
        return (paste_step(credential, context),)
    if not release.has_login and provider in _WIZARD_LOGINS and (credential.kind, provider) != ("api_key", "openai"):
        # Anthropic's keys too: pasted as a token, a key would pass for a setup-token, which ends in a year.
        sentence = f"It asks where and what. What you set replaces whatever {provider}:default holds."
        needs = _SECRET if credential.kind == "api_key" else _LOGIN
        return note(sentence, context.place), context.wizard(needs)
    if credential.kind == "api_key" and (release.has_api_keys or provider != "anthropic"):
        return (paste_step(credential, context),)
    if credential.kind == "api_key":
        return (login_step(credential, context, "api-key"),)
    return login_step(credential, context), *_released_for_main(credential, context)


def _released_for_main(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    """What lets another agent than main use main's login, on releases whose ``models auth login`` is for main only."""
    if context.release.has_login or context.agent == "main" or credential.is_first:
        return ()
    file = f"{context.folder}/auth-profiles.json"
    why = f"this release signs in for the agent main only, and {context.agent} then uses that login"
    return (task("remove the old login", f"Remove {credential.profile} from {file}: {why}.", context.place),)


def make_token() -> Step:
    """The step that makes a setup-token, on any machine that has Claude Code."""
    return Step(StepKind.COMMAND, "claude setup-token", Place(), _LOGIN, StepAction.MAKE, "make a new token")


def paste_step(credential: StoredCredential, context: CommandContext) -> Step:
    """The step that stores a secret under the credential's name.

    Up to 2026.5 there is no ``paste-api-key``; their documentation has people paste a key as a token.
    """
    is_key = credential.kind == "api_key" and context.release.has_api_keys
    dated = ("--expires-in", context.token_lifetime) if credential.is_setup_token else ()
    profile = ("--provider", credential.provider, "--profile-id", credential.profile)
    noun = {"token": "token", "api_key": "API key"}.get(credential.kind, "secret")
    title = "give it to OpenClaw" if credential.is_setup_token else f"give OpenClaw the new {noun}"
    return context.paste(title, "paste-api-key" if is_key else "paste-token", *profile, *dated)


def login_step(credential: StoredCredential, context: CommandContext, method: str | None = None) -> Step:
    """The step that signs in, in a browser or by giving a secret to OpenClaw's own prompt.

    The ``models auth login`` of 2026.2 ignores OPENCLAW_AGENT_DIR.
    """
    context = context if context.release.has_login else context._replace(agent="main")
    chosen = ("--method", method) if method else ()
    profile = ("--profile-id", credential.profile) if context.release.login_takes_profile else ()
    needs = _SECRET if method else _LOGIN
    title = {None: "sign in", "setup-token": "end the disable"}.get(method, "give OpenClaw the API key")
    return context.auth(title, "login", "--provider", credential.provider, *chosen, *profile, needs=needs)


def logout_step(credential: StoredCredential, context: CommandContext) -> Step:
    return context.auth("remove the old one, and its disable", "logout", credential.profile, "--yes")


def _borrowed_login_steps(context: CommandContext) -> tuple[Step, ...]:
    """The steps that renew Claude Code's login, which OpenClaw borrows where it runs."""
    place = replace(context.place, home=None)
    renewed = command(context.openclaw.beside("claude").line("auth", "login"), place, *_LOGIN, title="sign in")
    if not context.release.has_login:
        return (renewed,)
    borrow = ("login", "--provider", "anthropic", "--method", "cli")
    return renewed, context.auth("let OpenClaw use it", *borrow, needs=(Need.TERMINAL,))


def _copilot_steps(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    """A Copilot token cannot be pasted: it comes out of GitHub's device login."""
    login = _copilot_login(credential.profile, context)
    release = context.release
    if release.copilot_takes_profile:
        return (login,)
    removed = (logout_step(credential, context),) if release.end_of_disable is EndOfDisable.LOGOUT else ()
    if credential.profile != _COPILOT_PROFILE:
        name = f"The login is stored as {_COPILOT_PROFILE}, whatever the profile was called"
        return *removed, note(f"{name}. If it asks whether to sign in again, answer Yes.", context.place), login
    if removed:
        return *removed, login
    return note("If the login asks whether to sign in again, answer Yes.", context.place), login


def _copilot_login(profile: str, context: CommandContext) -> Step:
    named = ("--profile-id", profile) if context.release.copilot_takes_profile else ()
    return context.auth("sign in", "login-github-copilot", *named, needs=_LOGIN)


def _variable_steps(variable: str, context: CommandContext) -> tuple[Step, ...]:
    if context.is_claude_code:
        return (task("set the new secret", f"Set a new {variable} where Claude Code gets it from.", context.place),)
    file = context.programs.env_file or f"{context.openclaw.home or DEFAULT_STATE_DIR}/.env"
    sentence = f"Set a new {variable} where the gateway gets it from, often {file}."
    return task("set the new secret", sentence, context.place), restart_step(context)


def _cloud_steps(provider: str, context: CommandContext) -> tuple[Step, ...]:
    needed = f"{provider} uses no credential of OpenClaw's: give the gateway's environment {_CLOUDS[provider]}"
    example = f'policy.providers: {{"{provider}": {{credential: "none"}}}}'
    dismiss = f"If it works already, tell the exporter so in its configuration: {example}"
    return task("give it credentials", f"{needed}, and restart the gateway.", context.place), note(dismiss)


def _reference_steps(credential: StoredCredential, context: CommandContext) -> tuple[Step, ...]:
    """A secret that OpenClaw is to take from elsewhere, and cannot."""
    source, _, rest = (credential.reference or "").partition(":")
    named = f"the reference {credential.reference}" if credential.reference else "a reference"
    sentence = f"{credential.profile} takes its secret from {named}, which cannot be resolved. Restore it"
    if source == "env":
        sentence += f": set {rest.rpartition(':')[2]} in the gateway's environment"
    else:
        sentence += f": `secrets.providers` in openclaw.json must have {rest.partition(':')[0] or 'its provider'}"
    instead = f"{sentence}. Or give OpenClaw the secret itself:"
    is_key_login = credential.kind == "api_key" and credential.provider in KEY_LOGINS
    if is_key_login and context.release.login_takes_profile:
        # 2026.9 refuses ``paste-api-key`` for such a profile.
        return note(instead, context.place), login_step(credential, context, "api-key")
    if credential.kind == "api_key" and context.release.end_of_disable is EndOfDisable.LOGOUT:
        return note(instead, context.place), logout_step(credential, context), paste_step(credential, context)
    return note(instead, context.place), *new_secret_steps(credential, context)


# --- further steps ---------------------------------------------------------------------------------


def restart_step(context: CommandContext) -> Step:
    """The step that makes a gateway read its environment again."""
    if context.openclaw.is_in_container:
        return task("restart the gateway", "Restart the gateway's container.", context.place)
    return context.run("restart the gateway", "gateway", "restart")


def doctor_steps(context: CommandContext) -> tuple[Step, ...]:
    """The steps that move an old store or configuration to the installed release. Nothing is asked."""
    sentence = "This OpenClaw needs to convert what an earlier release left. It may take some minutes:"
    return note(sentence, context.place), context.run("convert it", "doctor", "--fix", "--non-interactive")


def plugin_steps(context: CommandContext) -> tuple[Step, ...]:
    """The steps that install the plugin which runs a provider's models (seen on 2026.9.6)."""
    sentence = "If a plugin is missing, OpenClaw's doctor downloads and installs it:"
    return note(sentence, context.place), context.run("install the plugin", "doctor", "--fix", "--non-interactive")


def set_date_step(profile: str, agent: str, target: str) -> Step:
    """The step that supplies the date of an undated token, instead of pasting it again."""
    name = quote(f"{target}/{agent}/{profile}")
    return note(f"Or, if you know when it ends: openclaw-auth-exporter deadline set {name} DATE")
