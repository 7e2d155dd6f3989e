"""Follows a section of a document in the machine, and reads what Prometheus, Alertmanager and the recorder hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from .machine import PIP, PYTHON, ROOT, WHEELS, Machine

RECIPES = (ROOT / "docs/recipes.md").read_text()

PROMETHEUS, ALERTMANAGER = "http://127.0.0.1:9090", "http://127.0.0.1:9093"

#: Commands that would use the internet, replaced: apt does nothing, pipx and pip install our wheels for a checkout.
OFFLINE = {
    "apt": 'test "$1" = install',
    "loginctl": 'test "$1" = enable-linger',
    "python3": f"""[ "$1 $2" = "-m venv" ] || exec {PYTHON} "$@"
{PYTHON} -m venv --without-pip "$3"
cat >"$3/bin/pip" <<EOF
#!/bin/sh
export PYTHONPATH={PIP} PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}
verb=\\$1 what=\\${{2##*/}}
shift 2
exec "$3/bin/python" -m pip "\\$verb" "\\$what" "\\$@"
EOF
chmod +x "$3/bin/pip"
""",
    "pipx": """case $2 in .) name=${PWD##*/} ;; *) name=${2##*/} ;; esac
home=$HOME/.local/share/pipx/venvs/$name
if [ "$1" = uninstall ]; then
  rm -r "$home" "$HOME/.local/bin/$name"
  exit
fi
test "$1" = install
python3 -m venv "$home"
"$home/bin/pip" install "$name"
install -d "$HOME/.local/bin"
ln -s "$home/bin/$name" "$HOME/.local/bin/"
""",
}

#: Records requests to some loopback ports, each as a line of JSON.
RECORDER = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Recorder(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        line = json.dumps([self.server.server_port, self.path, body])
        with open("/run/requests", "a") as requests:
            requests.write(line + "\\n")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

for port in map(int, sys.argv[1:]):
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", port), Recorder).serve_forever).start()
"""
NTFY, SWITCH, RECEIVER = 9097, 9098, 9099


def blocks(title: str, page: str = RECIPES) -> Iterator[str]:
    """Yield the shell blocks of a section in order."""
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{title}\n")]
    yield from re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(page: str, beginning: str) -> str:
    """Return the only shell block of a page with this beginning."""
    (found,) = [
        text for text in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if text.startswith(beginning)
    ]
    return str(found)


class Recipe:
    """Follows a section: runs each block once, in the order of the page, and leaves none out."""

    def __init__(self, machine: Machine, title: str, page: str = RECIPES, folder: str = "", **user: Any) -> None:
        self._machine = machine
        self._left = list(blocks(title, page))
        self._folder = folder
        self._user = user

    def paste(self, beginning: str, input: str = "", terminal: bool = False) -> str:
        """Run the next block, which must have this beginning; return its output. ``terminal``: type ``input`` there."""
        block = self._left.pop(0)
        assert block.startswith(beginning), f"the next block is:\n{block}"
        block = f"cd ~/{self._folder}\n{block}"
        argv = ["sh", "-eu", "-c", block]
        if terminal:
            self._machine.write("/tmp/block", block)  # noqa: S108 - inside the machine

            argv = ["script", "--quiet", "--return", "--command", "sh -eu /tmp/block", "/dev/null"]
        return self._machine.run(*argv, input=input.encode(), **self._user).stdout

    def skip(self, block: str) -> None:
        """Skip the next block, which must be this and is tested elsewhere."""
        assert self._left.pop(0) == block

    def end(self) -> None:
        assert self._left == []


def requests(machine: Machine, port: int) -> list[tuple[str, str]]:
    """Return (path, body) of each request to a port."""
    lines = machine.run("sh", "-c", "cat /run/requests 2>/dev/null || :").stdout.splitlines()
    return [(path, body) for at, path, body in map(json.loads, lines) if at == port]


def notified(machine: Machine) -> list[tuple[str, str, set[str]]]:
    """Return (path, status, alert names) of each notification to Alertmanager's receivers."""
    bodies = [(path, json.loads(body)) for path, body in requests(machine, RECEIVER)]
    return [(path, body["status"], {alert["labels"]["alertname"] for alert in body["alerts"]}) for path, body in bodies]


def speed_up(machine: Machine, *files: str) -> None:
    """Shorten the intervals of Prometheus and Alertmanager to a second; change nothing else in the examples."""
    keys = "(scrape|evaluation|refresh|group)_interval|scrape_timeout|group_wait"
    machine.run("sed", "-E", "-i", rf"s/^( *(- )?({keys}): ).*/\11s/", *(f"/etc/prometheus/{file}" for file in files))


def answer(machine: Machine, url: str) -> Any:
    body = json.loads(machine.get(url))
    assert body.get("status", "success") == "success", body
    return body


def series(machine: Machine, expression: str, port: int = 9090) -> list[tuple[dict[str, str], float]]:
    """Run an instant query; return labels and value of each series."""
    found = answer(machine, f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}")["data"]["result"]
    return [(entry["metric"], float(entry["value"][1])) for entry in found]


def is_up(machine: Machine, port: int = 9090) -> bool:
    script = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
    return machine.run(PYTHON, "-c", script, f"http://127.0.0.1:{port}/-/ready", check=False).returncode == 0


def alerts(machine: Machine) -> dict[str, dict[str, Any]]:
    """Return the pending and firing alerts in Prometheus by name."""
    found = answer(machine, f"{PROMETHEUS}/api/v1/alerts")["data"]["alerts"]
    return {alert["labels"]["alertname"]: alert for alert in found}


def held(machine: Machine) -> dict[str, dict[str, Any]]:
    """Return the alerts in Alertmanager that have not ended by name."""
    return {alert["labels"]["alertname"]: alert for alert in json.loads(machine.get(f"{ALERTMANAGER}/api/v2/alerts"))}


def failed_rules(machine: Machine, port: int = 9090) -> list[str]:
    """Return the rules whose evaluation failed. There must be rules."""
    groups = answer(machine, f"http://127.0.0.1:{port}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 20
    return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]
