"""deploy/ read as its users' programs read it: Helm, Kubernetes and the Prometheus operator, jsonnet, compose, Icinga.

No cluster and no Grafana server is here: what is checked is that they accept the files and what they make of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import need
from .machine import ROOT

pytestmark = pytest.mark.real

CHART = ROOT / "deploy/helm/openclaw-auth-exporter"
MANIFESTS = ROOT / "deploy/kubernetes/openclaw-auth-exporter.yaml"
COMPOSE = ROOT / "deploy/compose"
#: The oldest and newest release that the chart is checked for; its kubeVersion is 1.25.
KUBERNETES = ("1.25", "1.33")
OPERATOR = "monitoring.coreos.com/v1"

GATEWAY = {"name": "rack7", "source": "gateway", "url": "http://gateway.openclaw:18789", "token_file": "rack7"}
#: The values of the plain manifests, which are the chart's without what only Helm needs.
PLAIN: dict[str, Any] = {
    "config": {"targets": [{**GATEWAY, "token_file": "gateway", "name": "home"}]},
    "secrets": {"gateway": "put the gateway's token here"},
    "networkPolicy": {"enabled": True},
}
VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "plain": PLAIN,
    "operator": {
        "config": {"targets": [GATEWAY], "name": "prod"},
        "existingSecret": "tokens",
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "guarded": {
        "config": {"targets": [GATEWAY]},
        "secrets": {"rack7": "t", "web.yml": "tls_server_config: {}\n"},
        "webConfigFile": "/run/secrets/openclaw-auth-exporter/web.yml",
        "probes": "tcp",
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
        "serviceMonitor": {
            "enabled": True,
            "endpoint": {"scheme": "https", "basicAuth": {"username": {"name": "u", "key": "name"}}},
        },
    },
    "everything": {
        "image": {"repository": "registry.example/oae", "tag": "edge", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "persistence": {"enabled": False},
        "service": {"type": "NodePort", "port": 80, "annotations": {"a": "b"}},
        "resources": {},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "ops"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    },
}


def tool(name: str, request: dict[str, Any]) -> Any:
    """Ask deploy_tools.py, which has Helm and jsonnet."""
    script = Path(__file__).with_name("deploy_tools.py")
    ended = subprocess.run(
        [need("deploy"), script, name],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def rendered(values: dict[str, Any], name: str = "demo") -> dict[str, Any]:
    asked = {"chart": str(CHART), "values": values, "name": name, "namespace": "openclaw-auth"}
    answer: dict[str, Any] = tool("chart", asked)
    return answer


def objects(files: dict[str, str]) -> list[dict[str, Any]]:
    """Every object of the templates, in the order of the files."""
    texts = [files[name] for name in sorted(files) if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def kind(made: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (one for one in made if one["kind"] == name)
    return found


# --- the chart -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=VALUES)
def chart(request: pytest.FixtureRequest) -> tuple[str, list[dict[str, Any]]]:
    answer = rendered(VALUES[request.param])
    assert "error" not in answer, answer
    assert answer["lint"]["errors"] == []
    # 1 is information: "icon is recommended".
    assert [one for one in answer["lint"]["messages"] if one["severity"] > 1] == []
    return request.param, objects(answer["files"])


def test_kubernetes_and_the_operator_accept_the_chart(chart: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    _, made = chart
    require_valid(made, tmp_path)


def require_valid(made: list[dict[str, Any]], folder: Path) -> None:
    """Check the objects against Kubernetes' schemas, and those of the operator against its own."""
    theirs = [one for one in made if one["apiVersion"] == OPERATOR]
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all([one for one in made if one not in theirs]))
    for version in KUBERNETES:
        command: list[str | Path] = [need("deploy").with_name("kubernetes-validate"), "--strict", "-k", version, file]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert operator_complaints(theirs) == []


def operator_complaints(made: list[dict[str, Any]]) -> list[str]:
    script = (
        "const models = await import('@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1');"
        "const { readFileSync } = await import('node:fs');"
        "const complaints = [];"
        "for (const one of JSON.parse(readFileSync(0))) {"
        "  try { new models[one.kind](one).validate(); } catch (error) { complaints.push(error.message); } }"
        "console.log(JSON.stringify(complaints));"
    )
    ended = subprocess.run(
        [need("node"), "--input-type=module", "-e", script],
        input=json.dumps(made),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=need("schemas"),
    )
    found: list[str] = json.loads(ended.stdout)
    return found


def test_the_checks_notice_a_mistake(tmp_path: Path) -> None:
    made = objects(rendered(VALUES["operator"])["files"])
    monitor = kind(made, "ServiceMonitor")
    monitor["spec"]["endpoints"] = "http"
    assert len(operator_complaints([monitor])) == 1
    deployment = kind(made, "Deployment")
    deployment["spec"]["replica"] = 2
    with pytest.raises(AssertionError, match="replica"):
        require_valid([deployment], tmp_path)


def test_the_pod_has_no_rights(chart: tuple[str, list[dict[str, Any]]]) -> None:
    """As Kubernetes' pod security standard `restricted`, and with a file system that is read-only."""
    _, made = chart
    pod = kind(made, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    own = pod["securityContext"]
    assert (own["runAsNonRoot"], own["runAsUser"], own["seccompProfile"]) == (True, 65532, {"type": "RuntimeDefault"})
    assert pod["automountServiceAccountToken"] is False
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/openclaw-auth-exporter", "/tmp"]  # noqa: S108 - in the container
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & pod.keys()


def test_names_and_secrets_find_each_other(chart: tuple[str, list[dict[str, Any]]]) -> None:
    name, made = chart
    config = json.loads(kind(made, "ConfigMap")["data"]["config.json5"])
    assert config["name"] == VALUES[name].get("config", {}).get("name", "demo-openclaw-auth-exporter")
    pod = kind(made, "Deployment")["spec"]["template"]
    selector = kind(made, "Service")["spec"]["selector"]
    assert selector.items() <= pod["metadata"]["labels"].items()
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    secret = volumes.get("secrets", {}).get("secret", {}).get("secretName")
    given = VALUES[name]
    assert secret == (given.get("existingSecret") or ("demo-openclaw-auth-exporter" if "secrets" in given else None))
    assert [one["metadata"]["name"] for one in made if one["kind"] == "Secret"] == (
        [secret] if "secrets" in given else []
    )


def test_the_rules_and_their_job_are_the_shipped_ones() -> None:
    made = objects(rendered(VALUES["operator"])["files"])
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text())
    assert kind(made, "PrometheusRule")["spec"] == shipped
    label = kind(made, "ServiceMonitor")["spec"]["jobLabel"]
    assert kind(made, "Service")["metadata"]["labels"][label] == "openclaw_auth"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"targets": {}}, "targets"),
        ({"service": {"port": "x"}}, "port"),
        ({"probes": "grpc"}, "probes"),
        ({"secrets": {"a b": "x"}}, "a b"),
    ],
)
def test_a_mistake_in_the_values_is_named(values: dict[str, Any], problem: str) -> None:
    assert problem in rendered(values)["error"]


# --- plain manifests -------------------------------------------------------------------------


def plain_manifests() -> str:
    """deploy/kubernetes/openclaw-auth-exporter.yaml: the chart's objects in a namespace that allows nothing more."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "openclaw-auth", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    made = objects(rendered(PLAIN, "openclaw-auth-exporter")["files"])
    for one in made:
        one["metadata"]["namespace"] = "openclaw-auth"
    pod = kind(made, "Deployment")["spec"]["template"]["metadata"]
    del pod["annotations"]
    for labels in (pod["labels"], *(one["metadata"]["labels"] for one in made)):
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            del labels[label]
    secret = kind(made, "Secret")
    del secret["data"]
    secret["stringData"] = PLAIN["secrets"]
    head = (
        "# The exporter for gateways over HTTP: kubectl apply -f, after you have put your targets into the ConfigMap\n"
        "# and their tokens into the Secret, and have built the image (deploy/container/Containerfile). Made from the\n"
        "# chart in deploy/helm, which can do more; a test compares them.\n"
    )
    return head + str(yaml.dump_all([namespace, *made], Dumper=Readable, sort_keys=False))


class Readable(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Texts of several lines as they are."""


def _literal(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, _literal)


def test_the_plain_manifests_are_the_chart_s_objects(tmp_path: Path) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        MANIFESTS.write_text(plain_manifests())
    assert MANIFESTS.read_text() == plain_manifests()
    require_valid([*yaml.safe_load_all(MANIFESTS.read_text())], tmp_path)


# --- the mixin -------------------------------------------------------------------------------


def mixin(changes: str = "") -> Any:
    file = ROOT / "deploy/mixin/mixin.libsonnet"
    parts = "{ rules: x.prometheusAlerts, boards: x.grafanaDashboards }"
    text = f"local m = import '{file}'; local x = m {changes}; {parts}"
    return tool("jsonnet", {"snippet": text})


def test_the_mixin_renders_to_what_is_shipped() -> None:
    made = mixin()
    assert made["rules"] == yaml.safe_load((ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text())
    assert made["boards"] == {
        f"openclaw-auth-{name}.json": json.loads((ROOT / f"dashboards/{name}.json").read_text())
        for name in ("overview", "fleet")
    }


def test_the_mixin_s_configuration_changes_what_it_says_and_nothing_else() -> None:
    made = mixin(
        "{ _config+:: { exporterJob: 'a', probeJob: 'b', alertLabels: { team: 'ops' }, "
        "runbookURL: 'https://r.example', dashboardTags: ['x'] } }"
    )
    text = json.dumps(made)
    assert 'up{job=\\"a\\"}' in text
    assert 'up{job=\\"b\\"}' in text
    assert 'openclaw_auth_probe\\"' not in text
    alerts = [rule for group in made["rules"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["labels"]["team"] for rule in alerts} == {"ops"}
    assert {rule["annotations"]["runbook_url"].partition("#")[0] for rule in alerts} == {"https://r.example"}
    board = made["boards"]["openclaw-auth-fleet.json"]
    assert (board["tags"], [link["tags"] for link in board["links"]], board["links"][1]["url"]) == (
        ["x"],
        [["x"], []],
        "https://r.example",
    )


# --- compose ---------------------------------------------------------------------------------


def test_the_compose_file_is_valid_and_its_files_exist() -> None:
    made = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    tool("compose", {"text": (COMPOSE / "compose.yaml").read_text()})
    binds = [volume.split(":")[0] for service in made["services"].values() for volume in service["volumes"]]
    files = [bind for bind in binds if bind.startswith(".")]
    assert len(files) > 5
    assert [file for file in files if not (COMPOSE / file).exists()] == []
    for service in made["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_prometheus_and_the_exporter_accept_the_compose_folder_s_configurations(tmp_path: Path) -> None:
    text = (COMPOSE / "prometheus.yml").read_text()
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/", f"{ROOT}/deploy/prometheus/"))
    ended = subprocess.run(
        [need("promtool"), "check", "config", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert f'up{{job="{job["job_name"]}"}}' in (ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text()


# --- Icinga ----------------------------------------------------------------------------------


def test_icinga_accepts_the_check_command_and_applies_it_to_hosts_with_targets(tmp_path: Path) -> None:
    icinga = need("icinga2")
    file = tmp_path / "icinga2.conf"
    file.write_text(
        'include <itl>\nconst NodeName = "here"\nconst ZoneName = NodeName\nobject Endpoint NodeName { }\n'
        "object Zone ZoneName { endpoints = [ NodeName ] }\n"
        f'include "{ROOT}/deploy/icinga/openclaw-auth.conf"\n'
        'object Host "gw" {\n  check_command = "dummy"\n  vars.openclaw_auth_targets = [ "home", "vps" ]\n}\n'
        'object Host "other" { check_command = "dummy" }\n'
    )
    folders = [f"-D{name}={tmp_path}" for name in ("DataDir", "LogDir", "CacheDir", "SpoolDir", "InitRunDir")]
    ended = subprocess.run(
        [icinga, "daemon", "-C", "-c", file, *folders],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ICINGA2_USER": "root", "ICINGA2_GROUP": "root"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Instantiated 1 Service." in ended.stdout
