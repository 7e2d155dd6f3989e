"""The shipped rules match the program and its runbook. Needs no Prometheus; tests/real/test_rules.py does.

The files have a regular form, so regular expressions read them. promtool checks that they are YAML and PromQL.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from exporter.alerts.channels.alertmanager import alertname
from exporter.alerts.values import Alert, NotificationReason
from exporter.metrics.definitions import METRICS
from exporter.model import RUNBOOK, ConditionName, Severity

ROOT = Path(__file__).parent.parent
RULES = (ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text()
TESTS = [path.read_text() for path in sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))]
EXAMPLES = sorted((ROOT / "deploy/alertmanager").glob("*.yml"))
HANDBOOK = (ROOT / "docs/runbook.md").read_text()

LABELS = {metric.name: set(metric.labels) for metric in METRICS}
#: The rules without comments and job names, which look like metrics.
CODE = re.sub(r"#.*", "", re.sub(r"job=\"openclaw_auth\w*\"", 'job=""', RULES))

#: (name, text) of each alert. A name may occur twice, with two severities.
ALERTS = [
    (block.partition("\n")[0], re.split(r"\n {4}(?! )|\n {6}- |\n {2}- name:", block)[0])
    for block in RULES.split("- alert: ")[1:]
]
NAMES = [name for name, _ in ALERTS]
#: The names of the exporter's own alerts in an Alertmanager.
OWN = {
    alertname(Alert("f" * 32, NotificationReason.FIRST, name.family, name, Severity.CRITICAL, "home", summary=""))
    for name in ConditionName
}
HEADINGS = re.findall(r"^#+ (.+)$", HANDBOOK, re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def test_rules_are_found() -> None:
    assert len(ALERTS) == RULES.count("- alert:") > 20
    assert all(re.fullmatch(r"OpenClawAuth[A-Z]\w+", name) for name in NAMES)


def test_every_metric_exists() -> None:
    used = set(re.findall(r"\bopenclaw_auth_[a-z_]+", CODE))
    assert used <= LABELS.keys()
    assert len(used) > 15


def test_selectors_name_existing_labels() -> None:
    selectors = re.findall(r"\b(openclaw_auth_[a-z_]+)\{([^}]+)\}", CODE)
    assert len(selectors) > 20
    for metric, matchers in selectors:
        labels = set(re.findall(r"([a-z_]+)(?:=|!=|=~|!~)(?=[\"%])", matchers))
        assert labels, matchers
        assert labels <= LABELS[metric] | {"job", "instance"}, f"{metric}{{{matchers}}}"


def test_queries_in_descriptions_select_what_the_alert_is_about() -> None:
    """Each is run per firing alert at each evaluation: one selector without matchers reads every profile."""
    queries = re.findall(r"query \(printf \"(.+?)(?<!\\)\"", CODE)
    queries += re.findall(r":= printf \"(openclaw_auth.+?)(?<!\\)\"", CODE)
    assert len(queries) > 12
    for query in queries:
        for selector in re.findall(r"\bopenclaw_auth[_:][\w:]+(\{[^}]*\})?", query):
            assert re.match(r"\{job=%(\[1\])?q,instance=%(\[2\])?q,(target|channel)=%", selector), query


def test_job_names_stand_once() -> None:
    """Whoever names the jobs differently changes one line of each file."""
    code = [re.sub(r"#.*", "", text) for text in (RULES, *(path.read_text() for path in EXAMPLES))]
    for job in ("openclaw_auth", "openclaw_auth_probe"):
        assert all(text.count(f'job="{job}"') <= 1 for text in code), job


def test_alerts_use_recording_rules_above_them_in_their_group() -> None:
    for group in CODE.split("  - name: ")[1:]:
        recorded = {found[1]: found.start() for found in re.finditer(r"- record: (\S+)", group)}
        for found in re.finditer(r"(?<!record: )\b(openclaw_auth:[\w:]+)", group):
            assert recorded.get(found[1], len(group)) < found.start(), found[1]


def test_conditions_exist() -> None:
    used = set(re.findall(r'condition="(\w+)"', CODE))
    assert used <= {name.value for name in ConditionName}
    assert "expired" in used


@pytest.mark.parametrize(("name", "text"), ALERTS, ids=[f"{name}-{i}" for i, name in enumerate(NAMES)])
def test_every_alert_is_complete(name: str, text: str) -> None:
    assert re.search(r"\n {8}for: [1-9]\d*[smh]\n", text)
    assert re.search(r'\n {10}severity: (info|warning|critical|"\{\{ \$labels\.severity \}\}")\n', text)
    for annotation in ("summary", "description"):
        assert re.search(rf"\n {{10}}{annotation}: (&\w+ )?(>-\n {{12}}\S|\*\w+\n)", text), annotation
    assert re.findall(r"\n {10}runbook_url: (\S+)", text) == [f"{RUNBOOK}#{name.lower()}"]
    assert name in HEADINGS


def test_alert_exists_once_per_severity() -> None:
    severities = Counter(
        (name, severity) for name, text in ALERTS for severity in re.findall(r"severity: (\w+)\n", text)
    )
    assert set(severities.values()) == {1}


def test_runbook_has_exactly_the_sections_of_alerts_and_conditions() -> None:
    sections = re.findall(r"^### (.+)$", HANDBOOK, re.MULTILINE)
    assert sorted(s for s in sections if s.startswith("OpenClawAuth")) == sorted(set(NAMES))
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", HANDBOOK, re.MULTILINE))
    conditions = {name.value for name in ConditionName}
    assert conditions <= rows.keys()
    assert {s for s in sections if not s.startswith("OpenClawAuth")} == {s for s in conditions if s in HEADINGS}
    anchors = {anchor(heading) for heading in HEADINGS}
    links = set(re.findall(r"\]\(#([^)]+)\)", HANDBOOK))
    assert len(links) > 15
    assert links <= anchors
    for condition in conditions:
        assert re.search(r"\]\(#[^)]+\)", rows[condition]), condition


def test_every_section_has_its_four_parts() -> None:
    for section in re.split(r"^### ", HANDBOOK, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        parts = re.findall(r"\*\*(Means|See|Do|Worked)\*\*", body)
        if name in ("OpenClawAuthUnusable", "OpenClawAuthCheckFailing"):
            parts.insert(2, "Do")  # in a table, by reason
        assert parts == ["Means", "See", "Do", "Worked"], name


def minutes(time: str) -> int:
    return int(time[:-1]) * {"m": 1, "h": 60}[time[-1]]


def test_every_alert_is_tested_silent_pending_firing_and_resolved() -> None:
    """For each severity. A pending alert is queried as such, because promtool does not list it."""
    silent = set[str]()
    pending, firing, resolved = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str]]()
    for case in (case for text in TESTS for case in text.split("\n  - name: ")[1:]):
        pending |= set(re.findall(r'ALERTS\{alertname="(\w+)",alertstate="pending"\}.*severity="(\w+)"', case))
        found = [  # (when, which, its severities then), in the order of the file
            (minutes(at), name, set(re.findall(r"exp_labels: \{severity: (\w+)", rest)))
            for at, name, rest in re.findall(r"- eval_time: (\w+).*\n +alertname: (\w+)\n((?: {8}.*\n)+)", case)
        ]
        none = re.findall(r"eval_time: (\w+), alertname: (\w+), exp_alerts: \[\]", case)
        found += [(minutes(at), name, set[str]()) for at, name in none]
        for at, name, severities in found:
            then = [now for when, other, now in found if other == name and when > at]
            firing |= {(name, severity) for severity in severities}
            resolved |= {(name, severity) for severity in severities if any(severity not in now for now in then)}
        first = {name: min(at for at, other, now in found if other == name and now) for _, name, now in found if now}
        silent |= {name for at, name, now in found if not now and at < first.get(name, 0)}
    wanted = {(name, severity) for name, text in ALERTS for severity in re.findall(r"severity: (\w+)\n", text)}
    wanted |= {("OpenClawAuthReported", severity) for severity in ("critical", "warning")}  # as the condition's
    assert silent == set(NAMES)
    assert pending == firing == wanted
    assert resolved == wanted


def test_alert_stands_after_those_that_inhibit_it() -> None:
    """In its group. An Alertmanager that was started again notifies of an old alert before it reads the next one."""
    routes = (ROOT / "deploy/alertmanager/from-rules.yml").read_text().split("\ninhibit_rules:\n")[1]
    compared = 0
    for rule in routes.split("  - source_matchers: ")[1:]:
        source, target, equal = re.split(r"\n    (?:target_matchers|equal): ", rule)
        if "OpenClawAuth.+" in target:
            continue  # whatever is about an exporter that is down, in every group
        for group in CODE.split("  - name: ")[1:]:
            alerts = re.findall(r"- alert: (\w+)\n(?s:.*?)\n {10}severity: (\S+)\n", group)
            for (first, one), (second, other) in itertools.combinations(alerts, 2):
                if "alertname" in equal and first != second:
                    continue
                wrong = is_matched(target, first, one) and is_matched(source, second, other)
                assert not wrong, f"{first} ({one}) stands before {second} ({other}), which inhibits it"
                compared += is_matched(source, first, one) and is_matched(target, second, other)
    assert compared > 15


def is_matched(matchers: str, name: str, severity: str) -> bool:
    """Whether matchers of an inhibition match an alert of this name and severity."""
    found = dict(re.findall(r"(alertname|severity)=~?\"([^\"]+)\"", matchers))
    return bool(re.fullmatch(found["alertname"], name) and re.fullmatch(found.get("severity", ".*"), severity))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_alertmanager_examples_name_alerts_that_exist(path: Path) -> None:
    matchers = re.findall(r"alertname(=~|!~|!=|=)\"([^\"]+)\"", path.read_text())
    assert matchers
    known = {*NAMES, *OWN}
    for _, wanted in matchers:
        assert any(re.fullmatch(wanted, name) for name in known), wanted
        for word in re.findall(r"(?<=[(|])(\w+)(?=[|)])", wanted):
            assert any(word in name for name in known), word
