"""The structure of ``exporter/``: its layers, its modules' imports and its names. All modules are short.

``scripts/test`` runs import-linter, which checks the layers themselves.
"""

from __future__ import annotations

import ast
import re
import tokenize
import tomllib
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "exporter"
DOCUMENT = (ROOT / "docs/architecture.md").read_text()
(CONTRACT,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
MAX_TOP_LEVEL_ENTRIES = 18
MAX_LINES = 450


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, those inside functions included."""
    graph = grimp.build_graph("exporter", cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def test_no_modules_import_each_other_in_a_cycle(imports: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(reversed(error.args[1])))


def test_few_entries_lie_at_the_top() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert "py.typed" in entries
    assert len(entries) <= MAX_TOP_LEVEL_ENTRIES, sorted(entries)


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def calls(path: Path) -> set[str]:
    """The last part of the name of everything that a file calls."""
    found = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {f.attr if isinstance(f, ast.Attribute) else f.id for f in found if isinstance(f, ast.Attribute | ast.Name)}


def test_every_task_is_begun_by_the_supervisor_or_by_who_awaits_its_end() -> None:
    """A task that nobody owns is lost when it fails, and left when the daemon stops."""
    makers = {"create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe"}
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if calls(path) & makers}
    assert found == {"lib/tasks.py", "lib/supervisor.py"}


def test_tasks_without_supervision_end_by_themselves() -> None:
    """``tasks.begin`` is for work that ends. Each module here keeps what it begins, and ends it or waits for it."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\btasks\.begin\(", path.read_text())
    }
    assert found == {
        "checks/target_checker.py",  # one check
        "cli/screen.py",  # the progress line
        "daemon/alerting.py",  # opening files in a thread
        "daemon/reloading.py",  # one reload
        "daemon/scheduler.py",  # starting and stopping
        "daemon/serve.py",  # starting
        "lib/command.py",  # the input of one command
        "lib/supervisor.py",
        "web/current_file.py",  # reading one file
        "web/door.py",  # the handshake of one connection
        "web/users.py",  # the comparison of one password
    }


def test_modules_are_short() -> None:
    modules = [path for folder in ("exporter", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules + scripts}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_its_role() -> None:
    silent = [path for path in PACKAGE.rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


#: The modules that open files themselves: what they open is theirs, or the kernel's.
OPENS = {
    "exporter/cli/output.py",  # /dev/null
    "exporter/config/target_lists.py",  # a file of the state, which it writes
    "exporter/lib/command.py",  # pipes and /proc
    "exporter/lib/files.py",
    "exporter/lib/sqlite.py",  # the state, by a call that does not wait
    "exporter/metrics/push.py",  # a directory
    "exporter/setup/assets.py",  # files of the package, and those that it writes
    "exporter/setup/init.py",  # files of the package, and those that it writes
    "exporter/state/lock.py",  # the lock, by a call that does not wait
    "exporter/web/page.py",  # files of the package
}


def test_files_that_others_name_are_read_in_one_place() -> None:
    openers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name("open")) | ast.Call(ast.Attribute(ast.Name("os"), "open")):
                    openers.add(str(path.relative_to(ROOT)))
                case ast.Call(ast.Attribute(_, "read_text" | "read_bytes")):
                    openers.add(str(path.relative_to(ROOT)))
    assert openers == OPENS


#: CONTRIBUTING.md, "Style".
SUPPRESSION = re.compile(r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)* - |type: ignore\[[a-z-]+\]  # )\S.*")


def comments(path: Path) -> list[tokenize.TokenInfo]:
    with tokenize.open(path) as file:
        return [token for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]


def test_what_silences_a_checker_names_its_code_and_has_a_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for folder in ("exporter", "tests", "benchmarks", "dashboards")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for token in comments(path)
        if re.match(r"#\s*(noqa|type:\s*ignore)", token.string) and not SUPPRESSION.fullmatch(token.string)
    ]
    assert found == []


def test_the_contract_has_no_exceptions() -> None:
    assert "ignore_imports" not in CONTRACT


def test_the_document_draws_the_contract() -> None:
    (block,) = re.findall(r"^<!-- layers:.*-->\n```\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert block.splitlines() == CONTRACT["layers"]


def test_the_document_has_a_row_for_every_package() -> None:
    rows = re.findall(r"^\| `exporter/(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert rows == [name for layer in CONTRACT["layers"] for name in layer.split(" | ")]
    assert set(rows) == {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__", "py"}


def test_the_document_names_only_modules_that_exist() -> None:
    named = re.findall(r"`(exporter/[\w/.]+)`", DOCUMENT)
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()] == []
