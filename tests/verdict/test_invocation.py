"""Command lines for shells: hostile names arrive as they are, on every way to OpenClaw, and nothing else runs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.model import Dialect, Place
from exporter.verdict import remedies
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.releases import commands_of
from exporter.verdict.remedies import CommandContext, StoredCredential

IN_CONTAINER = ("docker", "exec", "gw", "openclaw")

#: Prints what it was given, NUL-terminated: the arguments and the variables that choose a home.
OPENCLAW = r"""#!/bin/sh
for word in "$@"; do printf '%s\0' "$word"; done
printf '%s\0' "DIR=$OPENCLAW_AGENT_DIR" "STATE=$OPENCLAW_STATE_DIR"
"""
#: As ssh and sshd do it: the words after the destination are one string for the shell there.
SSH = r"""#!/bin/sh
[ "$1" = -t ] && shift
shift
HOME=$FAR_HOME exec sh -c "$*"
"""
#: A container has its own environment and home.
DOCKER = r"""#!/bin/sh
shift 3
exec env -i PATH="$PATH" HOME="$FAR_HOME" "$@"
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shell with stand-ins for the programs on PATH."""
    folder = tmp_path_factory.mktemp("shell")
    for name, script in {"openclaw": OPENCLAW, "ssh": SSH, "docker": DOCKER}.items():
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
    for home in ("near", "far"):
        (folder / home).mkdir()
    homes = {"HOME": str(folder / "near"), "FAR_HOME": str(folder / "far")}
    return {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", **homes, "MARK": str(folder / "ran")}


def typed(line: str, shell: dict[str, str]) -> list[str]:
    """What openclaw was given by ``line``, typed into a POSIX shell."""
    finished = subprocess.run(["/bin/sh", "-c", line], env=shell, capture_output=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, b""), (line, finished.stderr)
    assert not Path(shell["MARK"]).exists(), line
    return os.fsdecode(finished.stdout).split("\0")[:-1]


def hostile() -> st.SearchStrategy[str]:
    """Names with everything that a shell gives a meaning."""
    parts = [
        "$(touch $MARK)",
        "`touch $MARK`",
        ";touch $MARK;",
        "$HOME",
        "~",
        "'",
        '"',
        "\\",
        "!",
        "*",
        " ",
        "\n",
        "-",
        "ü",
    ]
    pieces = st.one_of(st.sampled_from(parts), st.text("abc/:&|<>(){}[]#=%?", min_size=1, max_size=3))
    return st.lists(pieces, min_size=1, max_size=5).map("".join)


WAYS = {
    "here": Invocation(),
    "another user": Invocation(("env", "openclaw")),
    "ssh": Invocation(ssh="me@vps"),
    "ssh in the command": Invocation(("ssh", "vps", "openclaw")),
    "container": Invocation(IN_CONTAINER),
    "container over ssh": Invocation(IN_CONTAINER, ssh="vps"),
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=8, deadline=None)
@example("$(touch $MARK)", "a'b")
@given(hostile(), hostile())
def test_names_arrive_literally_and_nothing_else_runs(
    shell: dict[str, str], way: str, agent: str, profile: str
) -> None:
    openclaw = WAYS[way]
    for release in ("2026.2.9", "2026.9.6"):
        for folder in (None, f"/srv/{agent}/agent"):
            context = CommandContext(agent, commands_of(release, Dialect.ROUTES), Programs(openclaw), agent_dir=folder)
            (paste,) = remedies.renewal_steps(StoredCredential(f"x:{profile}", "x", "token"), context)
            for line in {paste.text, paste.piped}:
                *words, directory, _ = typed(line, shell)
                assert words[words.index("--profile-id") + 1] == f"x:{profile}"
                if release != "2026.2.9" and agent != "main":
                    assert words[words.index("--agent") + 1] == agent
                elif agent != "main":
                    is_near = openclaw.ssh is None and way in ("here",)
                    home = shell["HOME" if is_near else "FAR_HOME"]
                    default = f"{home}/.openclaw/agents/{agent}/agent"
                    expected = folder or default
                    if way == "another user":
                        expected = folder or f"{shell['HOME']}/.openclaw/agents/{agent}/agent"
                    assert directory == f"DIR={expected}"


@settings(max_examples=10, deadline=None)
@given(hostile())
def test_folders_arrive_literally(shell: dict[str, str], name: str) -> None:
    for state in (f"/srv/{name}", f"~/{name}"):
        for ssh in (None, "vps"):
            *_, seen = typed(Invocation(ssh=ssh, state_dir=state).line("status"), shell)
            home = shell["HOME" if ssh is None else "FAR_HOME"]
            assert seen == "STATE=" + (f"{home}/{name}" if state.startswith("~/") else state)


@pytest.mark.parametrize(
    ("program", "ssh", "state_dir", "line", "piped"),
    [
        (("openclaw",), None, None, "openclaw", "openclaw"),
        (("openclaw",), None, "~/.openclaw", "openclaw", "openclaw"),
        (("/opt/oc/bin/openclaw",), None, None, "/opt/oc/bin/openclaw", "/opt/oc/bin/openclaw"),
        (("~/oc/bin/openclaw", "--dev"), None, None, "~/oc/bin/openclaw --dev", "~/oc/bin/openclaw --dev"),
        (("openclaw",), None, "~/o c", "OPENCLAW_STATE_DIR=~/'o c' openclaw", "OPENCLAW_STATE_DIR=~/'o c' openclaw"),
        (IN_CONTAINER, None, None, "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (IN_CONTAINER, None, "/x", "docker exec -it gw openclaw", "docker exec -i gw openclaw"),
        (("sudo", *IN_CONTAINER), None, None, "sudo docker exec -it gw openclaw", "sudo docker exec -i gw openclaw"),
        (
            *(("docker", "exec", "openclaw", "openclaw"), None, None),
            *("docker exec -it openclaw openclaw", "docker exec -i openclaw openclaw"),
        ),
        (("sudo", "-u", "oc", "openclaw"), None, None, "sudo -u oc openclaw", "sudo -u oc openclaw"),
        (
            *(("sudo", "-u", "oc", "openclaw"), None, "/srv/oc"),
            *["sudo -u oc env OPENCLAW_STATE_DIR=/srv/oc openclaw"] * 2,
        ),
        (("node", "/x/openclaw.mjs"), None, "/y", *["OPENCLAW_STATE_DIR=/y node /x/openclaw.mjs"] * 2),
        (("openclaw",), "me@vps", None, "ssh -t me@vps openclaw", "ssh me@vps openclaw"),
        (("/opt/oc/openclaw",), "vps", None, "ssh -t vps /opt/oc/openclaw", "ssh vps /opt/oc/openclaw"),
        (("ssh", "vps", "openclaw"), None, None, "ssh -t vps openclaw", "ssh vps openclaw"),
        (
            *(("openclaw",), "vps", "~/oc"),
            """ssh -t vps env 'OPENCLAW_STATE_DIR="$HOME"/oc' openclaw""",
            """ssh vps env 'OPENCLAW_STATE_DIR="$HOME"/oc' openclaw""",
        ),
    ],
)
def test_openclaw_is_called_as_configured(
    program: tuple[str, ...], ssh: str | None, state_dir: str | None, line: str, piped: str
) -> None:
    invocation = Invocation(program, ssh, state_dir)
    assert str(invocation) == line
    assert invocation.line(tty=False) == piped


@pytest.mark.parametrize(
    ("invocation", "place"),
    [
        (Invocation(), Place("localhost", None, "~/.openclaw")),
        (Invocation(("/opt/bin/clawdbot",)), Place("localhost", None, "~/.clawdbot")),
        (Invocation(("openclaw", "--profile=work")), Place("localhost", None, "~/.openclaw-work")),
        (Invocation(("openclaw", "--profile", "default")), Place("localhost", None, "~/.openclaw")),
        (Invocation(("env", "OPENCLAW_STATE_DIR=/oc", "openclaw")), Place("localhost", None, "/oc")),
        (Invocation(ssh="ssh://me@vps:22/"), Place("vps:22", "me", "~/.openclaw")),
        (Invocation(host="rack7"), Place("rack7", None, "~/.openclaw")),
        (Invocation(("sudo", "-u", "oc", "openclaw")), Place("localhost", "oc", "~/.openclaw")),
        (Invocation(("docker", "exec", "-u", "node", "gw", "openclaw")), Place("gw", "node", None)),
        (Invocation(("kubectl", "exec", "-n", "ai", "pod", "--", "openclaw")), Place("pod", None, None)),
    ],
)
def test_place_is_known_as_far_as_the_command_says(invocation: Invocation, place: Place) -> None:
    assert invocation.place == place
    assert replace(invocation, program=("openclaw",), state_dir="/oc").place.home == "/oc"
