"""What ``check --line`` on a store imports. benchmarks/start.py measures what that costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

#: Every module that may be imported, of the exporter and of its dependencies. Add one only if the check uses it.
EXPORTER = """
checks checks.agent_facts checks.limiter checks.monitor checks.off_loop checks.schedule checks.target_checker cli
cli.commands
cli.commands.check cli.names cli.options cli.output cli.program cli.runtime cli.screen config config._no_plugins
config.channels config.models config.reading config.targets config.values lib lib.bounds lib.clock
lib.durations lib.env_file lib.errors lib.files lib.known_secrets lib.logs lib.lookups lib.loose_json
lib.names lib.printable lib.redact lib.shell lib.sqlite lib.sqlite_header lib.tasks lib.threads
lib.typed_json model model.conditions model.release model.steps model.uses present present.line
present.problems present.words sources sources.store
sources.store.cache_settings sources.store.config sources.store.credentials sources.store.cron sources.store.environment
sources.store.facts sources.store.files sources.store.paths sources.store.reader sources.store.references
sources.store.runtimes sources.store.source sources.store.uses state state.credentials_db state.history
verdict verdict.advice verdict.conditions verdict.evidence verdict.failures verdict.fixes verdict.inputs
verdict.invocation verdict.logins verdict.profile verdict.provider verdict.recovery verdict.releases verdict.remedies
"""
OTHERS = {"annotated_types", "click", "exporter", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
#: Parts of Python that cost much and that the check does not need.
HEAVY = {"csv", "difflib", "email", "http.client", "importlib.metadata", "tempfile", "unittest", "urllib.request"}


def test_check_line_on_a_store_imports_only_what_it_uses(tmp_path: Path) -> None:
    agent = tmp_path / "openclaw/agents/main/agent"
    agent.mkdir(parents=True)
    token = {"type": "token", "provider": "anthropic", "token": "t" * 40, "expires": 4102444800000}
    (agent / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": {"anthropic:default": token}}))
    target = {"source": "store", "state_dir": str(tmp_path / "openclaw")}
    config = tmp_path / "config.json5"
    config.write_text(json.dumps({"targets": [target], "state_dir": str(tmp_path / "state")}))
    script = (
        f"import sys; sys.argv = ['x', 'check', '--line', '--config', {str(config)!r}]\n"
        "from exporter.cli import program; program.run(); print(*sys.modules, file=sys.stderr)"
    )
    environment = {"HOME": str(tmp_path), "PATH": os.defpath}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    assert ran.stdout == "OK\n", ran.stderr
    imported = set(ran.stderr.split())
    ours = {name.removeprefix("exporter.") for name in imported if name.startswith("exporter.")}
    assert ours - set(EXPORTER.split()) == set()
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    # What a development environment starts every Python with.
    assert {name for name in packages if not name.startswith(("_", "sitecustomize", "a1_coverage"))} - OTHERS == set()
    assert imported & HEAVY == set()


def test_entry_point_imports_nothing_of_ours_before_it_has_stopped_the_collector() -> None:
    script = "import sys; before = {*sys.modules}; import exporter.cli; print(*sorted({*sys.modules} - before))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(ran.stdout.split()) - sys.stdlib_module_names == {"exporter", "exporter.cli"}
