"""The shipped units in a machine: their names, starting them, and a probe of their sandbox."""

from __future__ import annotations

import json
import re

from .machine import PYTHON, ROOT, Machine

UNITS = ROOT / "deploy/systemd"
DAEMON = "openclaw-auth-exporter.service"
SOCKET = "openclaw-auth-exporter.socket"
CHECK = "openclaw-auth-exporter-check.service"
TIMER = "openclaw-auth-exporter-check.timer"
CONFIG = "/etc/openclaw-auth-exporter/config.json5"
DAY = 86400.0
SIMULATED = {"targets": [{"name": "home", "source": "simulated"}]}


def state_key(machine: Machine, directory: str = "/var/lib/openclaw-auth-exporter") -> str:
    """Return the random key of the state there, which identifies the state."""
    script = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT hex(key) FROM secret').fetchone()[0])"
    )
    return machine.run(PYTHON, "-c", script, f"{directory}/ledger.sqlite").stdout


def started(machine: Machine, unit: str = DAEMON) -> None:
    done = machine.run("systemctl", "start", unit, check=False)
    assert done.returncode == 0, done.stderr + machine.journal(unit)


#: Runs in a service's sandbox, tries forbidden actions, and logs which of them succeeded.
PROBE = """
import ctypes, json, mmap, os, socket, sys
done = {}
for path in sys.argv[1:]:
    try:
        if path.startswith("read:"):
            open(path[5:]).read(1)
        else:
            open(path + "/probe", "w").close()
        done[path] = True
    except OSError as error:
        done[path] = False
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    done["netlink"] = True
except OSError:
    done["netlink"] = False
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    done["writable code"] = True
except OSError:
    done["writable code"] = False
done["namespaces"] = ctypes.CDLL(None).unshare(0x04000000) == 0  # CLONE_NEWUTS
print("PROBE", os.getuid(), json.dumps(done), flush=True)
"""


def probed(machine: Machine, unit: str, *paths: str) -> tuple[int, set[str]]:
    """Start the unit with a probe in its sandbox; return its user id and the actions that succeeded."""
    machine.write("/usr/local/lib/probe.py", PROBE)
    machine.drop_in(unit, f"[Service]\nExecStartPost={PYTHON} /usr/local/lib/probe.py {' '.join(paths)}\n")
    started(machine, unit)
    uid, done = re.findall(r"^PROBE (\d+) (.*)$", machine.journal(unit), re.MULTILINE)[-1]
    return int(uid), {action for action, succeeded in json.loads(done).items() if succeeded}
