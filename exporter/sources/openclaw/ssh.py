"""Runs a command on another host with the user's own ssh: its argument lists, and what ssh's errors mean.

Commands, agent ids and paths reach the remote program as the arguments they are, whatever they contain:
the login shell there sees one string of POSIX-quoted words.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.lib.redact import safe_text
from exporter.lib.shell import quote
from exporter.model import CheckError, FailureReason

CONNECTION_FAILED = 255  # ssh's exit code for its own failures

#: A socket's path has at most 104 characters (macOS) or 108. ``%C`` takes 40 of them, and ssh appends 17.
_ROOM_FOR_DIRECTORY = 104 - 1 - 40 - 17 - 1

# Runs on the remote host. $1: seconds. $2: OPENCLAW_STATE_DIR or "". $3: an environment file or "". Then the command.
#
# The command gets its own session (without setsid: its own job), so that all of it can be ended. Two
# guards may end it: one waits for the time to pass, the other for the end of standard input. The latter
# means that the connection is gone: sshd leaves a command without a terminal running.
# From then on nothing here may write to the connection: a shell that dies of SIGPIPE while it reports
# "Killed" would leave a guard behind.
# The environment file is read like ours and never executed. Its values stay on the remote host.
_REMOTE = r"""
oae_limit=$1 oae_state=$2 oae_file=$3; shift 3
at_home() { case $1 in "~/"*) oae_path=$HOME/${1#"~/"};; *) oae_path=$1;; esac; }
at_home "$1"; shift; set -- "$oae_path" "$@"
if [ -n "$oae_file" ]; then
  at_home "$oae_file"
  [ -r "$oae_path" ] || { echo "error: the env_file cannot be read on the remote host" >&2; exit 66; }
  while IFS= read -r oae_line || [ -n "$oae_line" ]; do
    oae_line=${oae_line#"${oae_line%%[![:space:]]*}"}; oae_line=${oae_line#export }
    case $oae_line in *=*) ;; *) continue;; esac
    oae_name=${oae_line%%=*}; oae_value=${oae_line#*=}
    case $oae_name in ""|oae_*|[0-9]*|*[!A-Za-z0-9_]*) continue;; esac
    case $oae_value in
      '"'*'"'*) oae_value=${oae_value#?}; oae_value=${oae_value%%'"'*};;
      "'"*"'"*) oae_value=${oae_value#?}; oae_value=${oae_value%%"'"*};;
      *) oae_value=${oae_value%%" #"*}; oae_value=${oae_value%"${oae_value##*[![:space:]]}"};;
    esac
    export "$oae_name=$oae_value"
  done <"$oae_path"
fi
[ -z "$oae_state" ] || { at_home "$oae_state"; OPENCLAW_STATE_DIR=$oae_path CLAWDBOT_STATE_DIR=$oae_path
  export OPENCLAW_STATE_DIR CLAWDBOT_STATE_DIR; }
NO_COLOR=1; export NO_COLOR; unset FORCE_COLOR
if command -v setsid >/dev/null 2>&1; then oae_own=setsid; else oae_own=command; set -m; fi
exec 3<&0 </dev/null
$oae_own sh -c 'exec "$@"' sh "$@" 3<&- &
oae_main=$!
end_it() {
  kill -s TERM -- "-$oae_main" || kill -s TERM "$oae_main"
  sleep 1
  kill -s KILL -- "-$oae_main" || kill -s KILL "$oae_main"
}
( read -r oae_line <&3; end_it ) >/dev/null 2>&1 &
oae_gone=$!
( sleep "$oae_limit" & oae_nap=$!; trap 'kill "$oae_nap"; exit' TERM; wait "$oae_nap"; end_it ) >/dev/null 2>&1 3<&- &
oae_late=$!
exec 3<&- >/dev/null 2>&1
wait "$oae_main"; oae_code=$?
kill "$oae_gone" "$oae_late"; kill -s KILL -- "-$oae_main"
exit "$oae_code"
"""


def remote_command(
    argv: Sequence[str], *, timeout: float, state_dir: str | None = None, env_file: str | None = None
) -> str:
    """The string that makes the remote login shell run ``argv``.

    Everything that it starts ends after ``timeout`` seconds, or when its standard input ends. Raises
    CheckError OTHER for a NUL, which no command line can carry.
    """
    words = [str(math.ceil(timeout)), state_dir or "", env_file or "", *argv]
    if any("\0" in word for word in words):
        raise CheckError(FailureReason.OTHER, "a NUL cannot be part of a remote command")
    return "exec " + " ".join(map(quote, ["sh", "-c", _REMOTE, "openclaw-auth-exporter", *words]))


class Connection:
    """The ssh options for one destination. Sessions share a connection, whose socket is in a private folder."""

    def __init__(self, destination: str, environ: Mapping[str, str]) -> None:
        self.destination = destination
        self._runtime = environ.get("XDG_RUNTIME_DIR", "")
        self._folder: Path | None = None
        self._made = False

    def argv(self, remote: str) -> list[str]:
        """The command line that runs ``remote`` (from ``remote_command``) on the destination."""
        if not self._made:
            self._folder, self._made = self._make_folder(), True
        return ["ssh", "-T", *self._options(), "--", self.destination, remote]

    def close_argv(self) -> list[str] | None:
        """The command line that closes the shared connection; None if there is none."""
        if self._folder is None or not any(self._folder.iterdir()):
            return None
        return ["ssh", *self._options(), "-O", "exit", "--", self.destination]

    def forget(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._made = None, False

    def _options(self) -> list[str]:
        options = ["BatchMode=yes", "ConnectTimeout=10"]
        if self._folder is not None:
            options += ["ControlMaster=auto", f"ControlPath={self._folder}/%C", "ControlPersist=60s"]
        return [word for option in options for word in ("-o", option)]

    def _make_folder(self) -> Path | None:
        """A new private folder; None if no path is short enough."""
        for place in (self._runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it private
            if place.startswith("/") and "%" not in place and len(os.fsencode(place)) + 13 <= _ROOM_FOR_DIRECTORY:
                try:
                    return Path(tempfile.mkdtemp(prefix="oae-", dir=place))
                except OSError:
                    continue
        return None


def failure(destination: str, stderr: str) -> CheckError:
    """What ssh's exit code 255 means, by its error output."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if _REASON.search(line)), lines[-1] if lines else "")
    where = safe_text(destination, 80)
    if re.search(r"permission denied|too many authentication failures", stderr, re.IGNORECASE):
        return CheckError(FailureReason.UNAUTHORIZED, f"ssh to {where} was refused: {safe_text(reason)}")
    sentence = f"ssh could not reach {where}" + (f": {safe_text(reason)}" if reason else "")
    if "host key verification failed" in stderr.lower():
        sentence = f"ssh does not know or trust the host key of {where}: connect once by hand"
    return CheckError(FailureReason.CONNECTION, sentence)


_REASON = re.compile(r"denied|refused|failed|failure|timed out|unreachable|resolve|closed|reset|error|no route", re.I)
