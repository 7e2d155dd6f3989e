"""A real Prometheus on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx

from .parts import free_port, wait_for


class Prometheus:
    """A real Prometheus that scrapes one address every second."""

    def __init__(self, command: Path, directory: Path, scraped: str) -> None:
        directory.mkdir(parents=True)
        self.log = directory / "log"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        config = directory / "prometheus.yml"
        jobs = [{"job_name": "exporter", "static_configs": [{"targets": [scraped]}]}]
        # JSON is YAML.
        config.write_text(
            json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})
        )
        flags = [
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        environment = {"HOME": str(directory), "PATH": "/usr/bin:/bin"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [command, *flags], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, f"prometheus ended at once:\n{self.log.read_text()}"
            try:
                return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_for("prometheus to be ready", is_ready, 60)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Run an instant query through the HTTP API; return labels and value of each series."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, trust_env=False).json()
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def complaints(self) -> list[str]:
        """Return the warnings in its log, such as refused samples and failed scrapes."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if "level=warn" in line or "level=error" in line]

    def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
