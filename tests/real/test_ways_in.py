"""Other ways for Prometheus to collect: http_sd with /probe behind TLS and users, and a Pushgateway."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from .conftest import need
from .parts import free_port, wait_for

pytestmark = pytest.mark.real

PASSWORD = "a password for tests"


class Host:
    """A host with simulated targets: runs commands, and ends long-running processes with the test."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.config = folder / "config.json5"
        self._stack = stack
        self.environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        self.configure()

    def configure(self, **rest: Any) -> None:
        targets = [
            {"name": "home", "source": "simulated", "scenario": "healthy"},
            {"name": "rack7", "source": "simulated", "scenario": "expired", "schedule": False},
        ]
        made = {"targets": targets, "state_dir": str(self.folder / "state"), **rest}
        self.config.write_text(json.dumps(made))

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "exporter.cli", *args, "--config", str(self.config)]
        return subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=60)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.folder / f"{Path(argv[0]).name}.log").open("wb"))
        process = subprocess.Popen(argv, env=self.environ, stdout=log, stderr=log, cwd=self.folder)

        def end() -> None:
            process.terminate()
            process.wait(20)

        self._stack.callback(end)
        return process


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        yield Host(tmp_path, stack)


def answer(url: str, context: ssl.SSLContext | None = None, user: str | None = None) -> str | None:
    """Return the body of a URL that answers with 200, else None."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", f"Basic {b64encode(user.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as got:
            return str(got.read().decode())
    except OSError:
        return None


def certificate(folder: Path) -> ssl.SSLContext:
    """Write a certificate for loopback to ``cert.pem`` and ``key.pem``; return a context that trusts it."""
    subject = ["-subj", "/CN=exporter", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run([need("openssl"), *made], check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


def value(text: str | None, wanted: Callable[[str], bool]) -> list[float]:
    lines = [line for line in (text or "").splitlines() if not line.startswith("#") and wanted(line)]
    return [float(line.rpartition(" ")[2]) for line in lines]


def test_http_sd_and_probe_behind_tls_and_users(host: Host, tmp_path: Path) -> None:
    trusted = certificate(tmp_path)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    (tmp_path / "users.json5").write_text(json.dumps({"prometheus": hashed}))
    port = free_port()
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    web = {"listen": f"127.0.0.1:{port}", "tls": tls, "users_file": str(tmp_path / "users.json5")}
    host.configure(web=web)
    host.start(sys.executable, "-m", "exporter.cli", "serve", "--config", str(host.config))
    url, user = f"https://127.0.0.1:{port}", f"prometheus:{PASSWORD}"
    wait_for("the exporter", lambda: answer(f"{url}/-/ready", trusted, user), 30)
    assert answer(f"{url}/metrics", trusted) is None  # not without a user
    assert answer(f"{url}/metrics", trusted, "prometheus:wrong") is None

    auth = f"basic_auth: {{username: prometheus, password: {json.dumps(PASSWORD)}}}"
    tls_config = f"tls_config: {{ca_file: {tmp_path}/cert.pem}}"
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: openclaw_auth_probe
    metrics_path: /probe
    scheme: https
    {auth}
    {tls_config}
    http_sd_configs: [{{url: "{url}/sd", refresh_interval: 1s, {auth}, {tls_config}}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "127.0.0.1:{port}"}}
""")
    its_port = free_port()
    host.start(
        str(need("prometheus")),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{its_port}",
    )
    query = f"http://127.0.0.1:{its_port}/api/v1/query?query="

    def results(expression: str) -> dict[str, float]:
        said = json.loads(answer(query + expression) or '{"data": {"result": []}}')
        return {one["metric"].get("instance", ""): float(one["value"][1]) for one in said["data"]["result"]}

    wait_for("both targets", lambda: results("up") == {"home": 1, "rack7": 1}, 60)
    assert results("openclaw_auth_exit_code") == {"home": 0, "rack7": 1}
    assert results("openclaw_auth_check_success") == {"home": 1, "rack7": 1}


def test_a_push_replaces_its_whole_group(host: Host) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    host.start(str(need("prometheus-pushgateway")), f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=")
    wait_for("the Pushgateway", lambda: answer(f"{url}/-/ready"), 30)
    for _ in range(2):  # the second push replaces the first
        pushed = host.run("push", "--url", url, "--instance", "closet/a")
        assert (pushed.returncode, pushed.stderr) == (0, "")
    text = answer(f"{url}/metrics")
    mine = value(text, lambda line: line.startswith("openclaw_auth_exit_code{") and 'instance="closet/a"' in line)
    assert mine == [0, 1]
    refused = host.run("push", "--url", f"http://user:PLANTED-SECRET@127.0.0.1:{free_port()}")
    assert refused.returncode == 69
    assert "cannot be reached" in refused.stderr
    assert "PLANTED-SECRET" not in refused.stderr
