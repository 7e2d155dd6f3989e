"""The lock files agree with pyproject.toml and with each other. If a test here fails, run ``scripts/lock``."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
RUNTIME: list[str] = PYPROJECT["project"]["dependencies"]
#: Lock file -> the requirements of pyproject.toml that it pins.
WANTED = {
    "runtime": RUNTIME + EXTRAS["users"],
    "build": PYPROJECT["build-system"]["requires"],
    "dev": RUNTIME + [requirement for extra in EXTRAS.values() for requirement in extra],
}


class Pin(NamedTuple):
    version: str
    marker: str
    hashes: list[str]


def locked(name: str) -> dict[str, Pin]:
    text = re.sub(r"^#.*\n", "", (ROOT / f"requirements/{name}.txt").read_text(), flags=re.MULTILINE)
    pins = {}
    for entry in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split(" --hash=")
        package, _, pin = requirement.partition("==")
        version, _, marker = pin.partition(";")
        pins[package] = Pin(version.strip(), marker.strip(), [digest.strip() for digest in hashes])
    return pins


LOCKS = {name: locked(name) for name in WANTED}


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_satisfies_pyproject(name: str) -> None:
    for text in WANTED[name]:
        wanted = Requirement(text)
        pin = LOCKS[name].get(canonicalize_name(wanted.name))
        assert pin is not None, f"requirements/{name}.txt lacks {wanted.name}: run scripts/lock"
        assert pin.version in wanted.specifier, (
            f"requirements/{name}.txt has {wanted.name} {pin.version}: run scripts/lock"
        )


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_holds_what_its_packages_need(name: str) -> None:
    """Checked for the packages and the platform of this environment."""
    for package, pin in LOCKS[name].items():
        if pin.marker and not Marker(pin.marker).evaluate():
            continue
        for text in metadata.distribution(package).requires or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in LOCKS[name], f"{package} needs {need.name}: run scripts/lock"


@pytest.mark.parametrize("name", WANTED)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    assert {package for package, pin in LOCKS[name].items() if not pin.hashes} == set()
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for pin in LOCKS[name].values() for digest in pin.hashes)
    assert "://" not in (ROOT / f"requirements/{name}.txt").read_text()


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_a_package_has_the_same_version_in_every_lock(name: str) -> None:
    for package, pin in LOCKS[name].items():
        assert (package, pin.version) == (package, LOCKS["dev"][package].version)


def test_the_lock_names_nothing_that_nobody_wants() -> None:
    """A package that pyproject.toml no longer names leaves the lock."""
    for name, wanted in WANTED.items():
        reached, left = set(), [canonicalize_name(Requirement(text).name) for text in wanted]
        while left:
            package = left.pop()
            if package in reached or package not in LOCKS[name]:
                continue
            reached.add(package)
            marker = LOCKS[name][package].marker
            if not marker or Marker(marker).evaluate():
                for text in metadata.distribution(package).requires or ():
                    need = Requirement(text)
                    if need.marker is None or need.marker.evaluate({"extra": ""}):
                        left.append(canonicalize_name(need.name))
        unmarked = {package for package, pin in LOCKS[name].items() if not pin.marker}
        assert unmarked - reached == set(), f"requirements/{name}.txt: run scripts/lock"


@pytest.mark.parametrize("group", ["deploy", "fuzz", "release"])
def test_the_tools_of_ci_are_locked_with_hashes(group: str) -> None:
    pins = locked(group)
    for text in PYPROJECT["dependency-groups"][group]:
        wanted = Requirement(text)
        assert pins[canonicalize_name(wanted.name)].version in wanted.specifier, f"{wanted.name}: run scripts/lock"
    assert {package for package, pin in pins.items() if not pin.hashes} == set()
    assert "://" not in (ROOT / f"requirements/{group}.txt").read_text()
