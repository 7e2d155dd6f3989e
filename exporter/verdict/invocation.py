"""How a person on this host calls a target's programs: directly, in a container, as another user, over ssh.

Every name that comes from outside (an agent, a folder, a profile) is quoted for each shell that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from exporter.lib.shell import quote, quote_again, quote_path
from exporter.model import Place, Step, command

DEFAULT_STATE_DIR = "~/.openclaw"
#: Of the program under its former name, clawdbot.
FORMER_STATE_DIR = "~/.clawdbot"
#: The variables that choose which OpenClaw home a command works on.
HOME_VARIABLES = ("OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_PROFILE")

#: Programs that run a command inside a container.
_CONTAINERS = frozenset({"docker", "podman", "nerdctl", "kubectl", "oc"})
_PROGRAMS = frozenset({"openclaw", "clawdbot", "claude"})
_RUNTIMES = frozenset({"node", "bun"})
#: Options of ``exec`` whose value is the next word.
_VALUED = frozenset({"-c", "-e", "-f", "-n", "-u", "-w", "--container", "--env", "--namespace", "--user", "--workdir"})


@dataclass(frozen=True)
class Invocation:
    """A program and everything in front of it. ``str()`` is what its command lines begin with."""

    program: tuple[str, ...] = ("openclaw",)
    ssh: str | None = None
    state_dir: str | None = None  # OPENCLAW_STATE_DIR, unless it is OpenClaw's default
    variables: tuple[tuple[str, str], ...] = ()  # HOME_VARIABLES that the service has and a shell may not have
    host: str | None = None  # another host, to which the exporter has no shell

    def __str__(self) -> str:
        return self.line()

    def line(self, *arguments: str, tty: bool = True, agent_dir: str | None = None) -> str:
        """The shell command that runs the program with ``arguments``.

        ``tty=False`` is for the end of a pipe. ``agent_dir`` is OPENCLAW_AGENT_DIR: the oldest releases know
        an agent by nothing else.
        """
        variables = self._variables | ({} if agent_dir is None else {"OPENCLAW_AGENT_DIR": agent_dir})
        inner = self._inner(variables, arguments)
        if self._reaches_another_shell:  # ssh as a part of the command joins its arguments for the shell there
            inner = list(map(quote_again, inner))
        words = [*self._wrapper(tty), *inner]
        if self.ssh is None:
            return " ".join(words)
        return " ".join(["ssh -t" if tty else "ssh", quote(self.ssh), *map(quote_again, words)])

    def shell(self, *words: str, place: Place) -> Step:
        """A command of the shell where the program is called: not in a container, but over ssh, as a check does it."""
        if self.ssh is None:
            return command(" ".join(map(quote, words)), place)
        return command(" ".join(["ssh -o BatchMode=yes", quote(self.ssh), *map(quote_again, map(quote, words))]), place)

    def beside(self, program: str) -> Invocation:
        """The same place with another program, which has neither options nor an OpenClaw home."""
        return Invocation((*self.program[: self._at], program), self.ssh)

    @property
    def is_in_container(self) -> bool:
        before = self.program[: self._at]
        return any(_name(word) in _CONTAINERS and "exec" in before[index:] for index, word in enumerate(before))

    @cached_property
    def home(self) -> str | None:
        """OpenClaw's state folder as far as the command says; None inside a container, whose user is unknown."""
        if self.state_dir is not None and not self.is_in_container:
            return self.state_dir
        given = dict(self.variables) | dict(word.split("=", 1) for word in self.program if "=" in word)
        if folder := given.get("OPENCLAW_STATE_DIR"):
            return folder
        profile = given.get("OPENCLAW_PROFILE") or _option(self.program[self._at :])
        if profile and profile.lower() != "default":
            return f"{DEFAULT_STATE_DIR}-{profile}"
        if self.is_in_container:
            return None
        return FORMER_STATE_DIR if _name(self.program[self._at]) == "clawdbot" else DEFAULT_STATE_DIR

    @cached_property
    def place(self) -> Place:
        """Where the program runs."""
        before = self.program[: self._at]
        user, host = _destination(self.ssh) if self.ssh is not None else (None, self.host or "localhost")
        if self.is_in_container:
            host = _container(before)
        if "-u" in before[:-1]:  # of sudo or of a container's program
            user = before[before.index("-u") + 1]
        return Place(host, user, self.home)

    # --- the words ---------------------------------------------------------------------------------

    @cached_property
    def _at(self) -> int:
        """Where the program itself begins among its words. A container or a user may bear its name, too."""
        words = self.program
        found = [index for index, word in enumerate(words) if _name(word).removesuffix(".mjs") in _PROGRAMS]
        if not found or found[0] == 0:
            is_wrapped = not found and _name(words[0]) in _CONTAINERS
            return len(words) - 1 if is_wrapped else 0
        is_run_by_node = _name(words[found[-1] - 1]) in _RUNTIMES
        return found[-1] - 1 if is_run_by_node else found[-1]

    @property
    def _reaches_another_shell(self) -> bool:
        return any(_name(word) == "ssh" for word in self.program[: self._at])

    @cached_property
    def _variables(self) -> dict[str, str]:
        variables = dict(self.variables)
        if self.state_dir is not None:
            variables["OPENCLAW_STATE_DIR"] = self.state_dir
        if self.state_dir == DEFAULT_STATE_DIR:
            del variables["OPENCLAW_STATE_DIR"]
        # A variable out here does not reach the program in a container.
        return {} if self.is_in_container else variables

    def _wrapper(self, tty: bool) -> list[str]:
        """The quoted words in front of the program, which enter a container or become another user."""
        words = list(self.program[: self._at])
        if self.is_in_container and "exec" in words:
            words.insert(words.index("exec") + 1, "-it" if tty else "-i")
        if self._reaches_another_shell and tty:
            words.insert(next(index for index, word in enumerate(words) if _name(word) == "ssh") + 1, "-t")
        return list(map(quote, words))

    def _inner(self, variables: Mapping[str, str], arguments: Iterable[str]) -> list[str]:
        """The quoted words of the program with its variables."""
        words = list(self.program[self._at :])
        quoted = [quote_path(words[0]), *map(quote, words[1:]), *map(quote, arguments)]
        if not variables:
            return quoted
        is_at_home = any(path.startswith("~/") for path in variables.values())
        if self._at == 0 and self.ssh is None:
            return [*(f"{name}={quote_path(value)}" for name, value in variables.items()), *quoted]
        if self._at == 0 or not is_at_home:
            return ["env", *(f"{name}={_expanded(value)}" for name, value in variables.items()), *quoted]
        assigned = [f"{name}={quote_path(value)}" for name, value in variables.items()]
        return ["sh", "-c", quote(" ".join([*assigned, *quoted]))]  # ``~`` is the home of the user in there


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _expanded(path: str) -> str:
    """``path`` as an argument for the shell behind ssh, of whatever kind, where ``~`` means that user's home."""
    return f'"$HOME"/{quote(path[2:])}' if path.startswith("~/") and path != "~/" else quote(path)


def _option(words: tuple[str, ...]) -> str | None:
    """The profile that the options of openclaw choose."""
    for index, word in enumerate(words):
        if word == "--dev":
            return "dev"
        if word == "--profile" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("--profile="):
            return word.partition("=")[2]
    return None


def _destination(ssh: str) -> tuple[str | None, str | None]:
    """The user, if given, and the host of an ssh destination."""
    plain = ssh.removeprefix("ssh://").rstrip("/")
    user, _, host = plain.rpartition("@")
    return user or None, host


def _container(words: tuple[str, ...]) -> str | None:
    """The name of the container that ``words`` enter: the first word after ``exec`` that is no option."""
    after = iter(words[words.index("exec") + 1 :])
    for word in after:
        if not word.startswith("-"):
            return word
        if word in _VALUED:
            next(after, None)
    return None


class Programs(NamedTuple):
    """How a person at a shell on this host uses the programs of one target."""

    openclaw: Invocation = Invocation()
    claude: Invocation = Invocation(("claude",))
    #: The file with the variables that the service has and a shell has not, if one is configured.
    env_file: str | None = None
