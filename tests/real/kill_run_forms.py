"""The forms of the kill run, and the configurations of its programs, which are made from those that we ship."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .fleet_parts import ROOT
from .simulated_gateways import TOKEN

DEPLOY = ROOT / "deploy"
#: The name that both exporters have.
NAME = "fleet"
#: A label of every target, which must be on every alert about one.
OWNER = "ops"


@dataclass(frozen=True)
class Form:
    """How large a run is, and how fast. All times are seconds."""

    gateways: int
    expiries: int  # in all, spread over ``kills_for``
    kills_for: float  # how long the killers work
    kills: int  # at most so many of each kind
    between: tuple[float, float]  # from the end of one outage to the next kill of the same kind
    down: tuple[float, float]  # how long a killed program is gone
    interval: int  # between two checks or scrapes of a gateway
    evaluation: int  # between two evaluations of the rules
    held: int | None  # the rules' `for`; None: as shipped
    group_wait: int
    group_interval: int
    peer_timeout: int
    is_gentle: bool  # a killer waits until those that stand in for its victim have caught up
    renewed_after: tuple[float, float]  # from the alert to the new token
    patience: float  # after which an alert is lost, and what did not end never will

    @property
    def in_time(self) -> Mapping[bool, float]:
        """The seconds in which an alert arrives while nothing is killed: probed targets, and the others."""
        grouped = self.group_wait + 5.0
        return {True: self.interval + 2 * self.evaluation + (self.held or 30) + grouped, False: grouped}

    @property
    def caught_up_after(self) -> Mapping[str, float]:
        """For how many seconds a program of each kind has been ready when it knows again what it forgot."""
        if not self.is_gentle:
            return {}
        return {
            # What it forgot fires again after three evaluations and the rules' `for`. If a token is renewed just before
            # that, only the twin knows the end, and sends it after a scrape (or two: the exporter may be gone).
            "prometheus": (self.held or 30) + 3 * self.evaluation + 2 * self.interval,
            # Prometheus (at an evaluation) and our exporter send everything again each minute.
            "alertmanager": 60.0 + self.evaluation + self.group_wait,
        }


SHORT = Form(100, 20, 25, 1, (1, 12), (1, 4), 2, 1, 5, 1, 5, 2, False, (0, 5), 120)
LONG = Form(2000, 500, 600, 10**6, (5, 40), (1, 30), 30, 15, None, 10, 30, 15, True, (10, 60), 900)
#: More than the recipe promises: all that know of an alert may be killed within minutes, and then its end is lost.
HARSH = replace(LONG, is_gentle=False)


def is_probed(gateway: int) -> bool:
    return gateway % 2 == 0


def name_of(gateway: int) -> str:
    return f"rack-{gateway:04}"


def scrape_config(shard: int, shards: int, exporter: str, cluster: Sequence[str], form: Form) -> str:
    """``scrape-probe.yml`` as the recipe says for several Prometheus: with its ``hashmod``, for one exporter."""
    text = (DEPLOY / "prometheus/scrape-probe.yml").read_text()
    text, uncommented = re.subn(r"^(      )# (- source_labels|  [a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)
    assert uncommented == 7, "the commented lines of scrape-probe.yml are not those with hashmod"
    text = text.replace("modulus: 2", f"modulus: {shards}").replace('regex: "0"', f'regex: "{shard}"')
    text = text.replace("127.0.0.1:10785", exporter).replace('"127.0.0.1:9093"', ", ".join(map(json.dumps, cluster)))
    # The targets that the exporters alert about themselves are not probed.
    others = (
        "      - source_labels: [__meta_openclaw_auth_label_alerts]\n        regex: exporter\n        action: drop\n"
    )
    text = text.replace("    relabel_configs:\n", f"    relabel_configs:\n{others}")
    text = re.sub(r"scrape_interval: \w+", f"scrape_interval: {form.interval}s", text)
    text = re.sub(r"scrape_timeout: \w+", f"scrape_timeout: {form.interval}s", text)
    text = re.sub(r"refresh_interval: \w+", f"refresh_interval: {form.interval}s", text)
    return re.sub(r"evaluation_interval: \w+", f"evaluation_interval: {form.evaluation}s", text)


def rules(form: Form) -> str:
    """The shipped rules; in a short run, critical alerts do not wait for half a minute."""
    text = (DEPLOY / "prometheus/openclaw-auth.rules.yml").read_text()
    return text if form.held is None else text.replace("for: 30s\n", f"for: {form.held}s\n")


def routes(webhook: str, form: Form) -> str:
    """``from-exporter.yml`` with one group for each target, so that each alert can be counted."""
    text = (DEPLOY / "alertmanager/from-exporter.yml").read_text()
    text = text.replace("group_by: [alertname]", "group_by: [alertname, target]")
    text = re.sub(r"group_wait: \w+", f"group_wait: {form.group_wait}s", text)
    text = re.sub(r"group_interval: \w+", f"group_interval: {form.group_interval}s", text)
    return text.replace("http://127.0.0.1:9099", webhook)


def exporter_config(directory: Path, urls: Sequence[str], cluster: Sequence[str], form: Form) -> dict[str, object]:
    """Both exporters have this one: two lists of targets, one of which only Prometheus decides to check."""
    (directory / "token").write_text(TOKEN)
    for file, chosen in (("probed.json", True), ("own.json", False)):
        groups = [
            {"targets": [url], "labels": {"name": name_of(number)}}
            for number, url in enumerate(urls)
            if is_probed(number) is chosen
        ]
        (directory / file).write_text(json.dumps(groups))
    common = {"token_file": str(directory / "token"), "url_match": r"http://127\.0\.0\.1:\d+"}
    own = {"interval": f"{form.interval}s", "labels": {"owner": OWNER, "alerts": "exporter"}}
    probed = {"schedule": False, "labels": {"owner": OWNER}}
    return {
        "name": NAME,
        "web": {"metric_labels": ["owner"]},
        "targets_from": [
            {"type": "file", "paths": [str(directory / "probed.json")], "defaults": {**common, **probed}},
            {"type": "file", "paths": [str(directory / "own.json")], "defaults": {**common, **own}},
        ],
        # Below it are notices that stay, such as that a gateway shows no cooldowns.
        "channels": [{"name": "am", "type": "alertmanager", "urls": list(cluster), "min_severity": "warning"}],
    }
