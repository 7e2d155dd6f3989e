"""The shipped rules against the program and its runbook, without Prometheus (tests/real/test_rules.py has it).

The files are ours and regular, so they are read with regular expressions; that they are YAML and PromQL is
for promtool to say.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from exporter.alerts.channels.alertmanager import RUNBOOK, alertname
from exporter.alerts.values import Alert, NotificationReason
from exporter.metrics.definitions import METRICS
from exporter.model import ConditionName, Severity

ROOT = Path(__file__).parent.parent
RULES = (ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text()
TESTS = [path.read_text() for path in sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))]
EXAMPLES = sorted((ROOT / "deploy/alertmanager").glob("*.yml"))
HANDBOOK = (ROOT / "docs/runbook.md").read_text()

#: Contract names that no family has yet, and their labels beside job and instance.
PROMISED: dict[str, set[str]] = {}
BUILT = {family.name: set(family.labels) for family in METRICS}
#: Jobs are named like metrics.
CODE = re.sub(r"#.*", "", re.sub(r"job=\"openclaw_auth\w*\"", 'job=""', RULES))

#: (name, its text) of each alert; a name may be there twice, with two severities.
ALERTS = [
    (block.partition("\n")[0], re.split(r"\n {4}(?! )|\n {6}- |\n {2}- name:", block)[0])
    for block in RULES.split("- alert: ")[1:]
]
NAMES = [name for name, _ in ALERTS]
#: What the exporter's own alerts are called in an Alertmanager.
OWN = {
    alertname(Alert("f" * 32, NotificationReason.FIRST, name.family, name, Severity.CRITICAL, "home", summary=""))
    for name in ConditionName
}
HEADINGS = re.findall(r"^#+ (.+)$", HANDBOOK, re.MULTILINE)


def anchor(heading: str) -> str:
    """GitHub's, for headings of ours."""
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def test_the_rules_are_read() -> None:
    assert len(ALERTS) == RULES.count("- alert:") > 20
    assert all(re.fullmatch(r"OpenClawAuth[A-Z]\w+", name) for name in NAMES)


def test_every_metric_is_one_of_ours() -> None:
    used = set(re.findall(r"\bopenclaw_auth_[a-z_]+", CODE))
    assert used - BUILT.keys() == PROMISED.keys() & used - BUILT.keys()
    assert len(used) > 15


def test_what_is_built_is_no_longer_promised() -> None:
    assert not PROMISED.keys() & BUILT.keys(), "take it out of PROMISED"


def test_selectors_name_labels_that_the_metric_has() -> None:
    known = PROMISED | BUILT
    selectors = re.findall(r"\b(openclaw_auth_[a-z_]+)\{([^}]+)\}", CODE)
    assert len(selectors) > 20
    for metric, matchers in selectors:
        labels = set(re.findall(r"([a-z_]+)(?:=|!=|=~|!~)(?=[\"%])", matchers))
        assert labels, matchers
        assert labels <= known[metric] | {"job", "instance"}, f"{metric}{{{matchers}}}"


def test_alerts_read_recordings_of_their_own_group_from_above() -> None:
    for group in CODE.split("  - name: ")[1:]:
        recorded = {found[1]: found.start() for found in re.finditer(r"- record: (\S+)", group)}
        for found in re.finditer(r"(?<!record: )\b(openclaw_auth:[\w:]+)", group):
            assert recorded.get(found[1], len(group)) < found.start(), found[1]


def test_conditions_are_ones_the_verdict_has() -> None:
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


def test_an_alert_is_there_once_for_each_severity() -> None:
    severities = Counter(
        (name, severity) for name, text in ALERTS for severity in re.findall(r"severity: (\w+)\n", text)
    )
    assert set(severities.values()) == {1}


def test_the_runbook_has_a_section_for_every_alert_and_condition_and_for_nothing_else() -> None:
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


def test_every_section_says_what_to_see_to_do_and_how_to_know() -> None:
    for section in re.split(r"^### ", HANDBOOK, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        said = re.findall(r"\*\*(Means|See|Do|Worked)\*\*", body)
        if name in ("OpenClawAuthUnusable", "OpenClawAuthCheckFailing"):
            said.insert(2, "Do")  # in a table, by reason
        assert said == ["Means", "See", "Do", "Worked"], name


def minutes(time: str) -> int:
    return int(time[:-1]) * {"m": 1, "h": 60}[time[-1]]


def test_every_alert_is_tested_silent_pending_firing_and_resolved() -> None:
    """Each severity of each. What is expected pending is asked for as such: for promtool, pending is no alert."""
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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_alertmanager_examples_name_alerts_that_exist(path: Path) -> None:
    matchers = re.findall(r"alertname(=~|!~|!=|=)\"([^\"]+)\"", path.read_text())
    assert matchers
    known = {*NAMES, *OWN}
    for _, wanted in matchers:
        assert any(re.fullmatch(wanted, name) for name in known), wanted
        for word in re.findall(r"(?<=[(|])(\w+)(?=[|)])", wanted):
            assert any(word in name for name in known), word
