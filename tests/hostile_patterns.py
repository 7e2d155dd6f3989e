"""Every regular expression in exporter/, and strings on which one of them could take more than linear time.

Runs by itself: ``python hostile_patterns.py FOLDER`` prints one line for each pattern that is not linear. It needs a
process of its own, because a pattern that backtracks without end cannot be interrupted.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_FUNCTIONS = {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
_ANCHORED = {"match", "fullmatch"}
_SHORT = 600  # characters; the next string has four times as many, and the last four times as many again
_SLOW = 0.002  # seconds of CPU for the second string. A linear pattern needs less than a hundredth.
_RATIO = 8.0  # between one string and the next: linear is 4, quadratic 16

_END = "\n\x00"  # which no pattern expects

_parser: Any = importlib.import_module("re._parser")


class Pattern(NamedTuple):
    """A regular expression in the code, and whether it is only used at the beginning of a text."""

    place: str
    text: str | None  # None: it is made at run time
    flags: int
    anchored: bool


# --- the patterns in the code ----------------------------------------------------------------------


def patterns(folder: Path) -> Iterator[Pattern]:
    """Every call of ``re`` in the modules below ``folder``."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    used = _uses(trees.values())
    for path, tree in trees.items():
        owners = {id(node): owner for owner, node in _assigned(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (function := _function(node)):
                methods = used.get(owners.get(id(node), ""), {"search"}) if function == "compile" else {function}
                place = f"{path.relative_to(folder.parent)}:{node.lineno}"
                yield Pattern(place, _constant(node.args[0]), _flags(node), methods <= _ANCHORED)


def _function(call: ast.Call) -> str | None:
    named = call.func
    is_re = isinstance(named, ast.Attribute) and isinstance(named.value, ast.Name) and named.value.id == "re"
    return named.attr if is_re and isinstance(named, ast.Attribute) and named.attr in _FUNCTIONS else None


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each call in the value of an assignment, with the name that the value gets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                yield from ((target.id, inner) for inner in ast.walk(node.value) if isinstance(inner, ast.Call))


def _uses(trees: Iterable[ast.AST]) -> dict[str, set[str]]:
    """The methods by which each name is used. A name that goes elsewhere is searched, for all we know."""
    used: dict[str, set[str]] = {}
    for tree in trees:
        called = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in _FUNCTIONS:
                used.setdefault(node.value.id, set()).add(node.attr)
                called.add(id(node.value))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in called:
                used.setdefault(node.id, set()).add("search")
    return used


def _constant(node: ast.expr) -> str | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _flags(call: ast.Call) -> int:
    names = [node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)]
    return int(re.RegexFlag(sum({int(getattr(re, name)) for name in names if name.isupper() and hasattr(re, name)})))


# --- the strings -----------------------------------------------------------------------------------


def hostile(pattern: str, flags: int, length: int) -> Iterator[str]:
    """Texts of ``length`` characters on which ``pattern`` may try again and again.

    Each beginning of the pattern, repeated; and each beginning once, then a piece that a later part can repeat.
    """
    tree = _parser.parse(pattern, flags)
    beginnings = list(dict.fromkeys(_beginnings(tree)))[:8]
    pieces = list(dict.fromkeys([*_pieces(tree), *"a0 "]))[:12]
    for beginning in beginnings:
        if beginning:
            yield beginning * (length // len(beginning)) + _END
        for piece in pieces:
            yield beginning + piece * (length // len(piece)) + _END


def _beginnings(tree: Any) -> Iterator[str]:
    """A text for each part of the pattern, from the beginning up to that part."""
    text = ""
    yield text
    for part in tree:
        for _, inner in _inner(part):
            yield from (text + begun for begun in _beginnings(inner))
        text += _example([part])
        yield text


def _pieces(tree: Any) -> Iterator[str]:
    """A text for each part that may be repeated, and each character that the pattern names."""
    for part in tree:
        if str(part[0]) == "LITERAL":
            yield chr(part[1])
        for is_repeat, inner in _inner(part):
            if is_repeat:
                yield _example(inner) or "a"
            yield from _pieces(inner)


def _inner(part: Any) -> Iterator[tuple[bool, Any]]:
    """The patterns inside a part, and whether it repeats them."""
    name, value = str(part[0]), part[1]
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        yield True, value[2]
    elif name == "SUBPATTERN":
        yield False, value[3]
    elif name == "BRANCH":
        yield from ((False, branch) for branch in value[1])
    elif name in ("ASSERT", "ASSERT_NOT"):
        yield False, value[1]
    elif name == "ATOMIC_GROUP":
        yield False, value


def _example(tree: Any) -> str:
    """A short text that the parts match."""
    text = ""
    for part in tree:
        name, value = str(part[0]), part[1]
        if name == "LITERAL":
            text += chr(value)
        elif name in ("NOT_LITERAL", "ANY"):
            text += "a"
        elif name == "IN":
            text += _member(value)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            text += _example(value[2]) * max(1, min(value[0], 20))
        elif name == "SUBPATTERN":
            text += _example(value[3])
        elif name == "BRANCH":
            text += _example(value[1][0])
        elif name == "ASSERT" and value[0] < 0:
            text += _example(value[1])
    return text


_CATEGORIES = {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}


def _member(parts: Any) -> str:
    """A character of a class."""
    if str(parts[0][0]) == "NEGATE":
        return "!"
    name, value = str(parts[0][0]), parts[0][1]
    return chr(value if name == "LITERAL" else value[0]) if name != "CATEGORY" else _CATEGORIES.get(str(value), "a")


# --- the measurement -------------------------------------------------------------------------------


def _seconds(pattern: re.Pattern[str], anchored: bool, text: str) -> float:
    """The CPU time of using ``pattern`` on the whole ``text``."""
    started = time.process_time()
    if anchored:
        pattern.fullmatch(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - started


def worst(found: Pattern) -> str | None:
    """The beginning of a text on which the pattern is not linear; None if there is none."""
    assert found.text is not None
    pattern = re.compile(found.text, found.flags)
    shortest, longer, longest = (hostile(found.text, found.flags, times * _SHORT) for times in (1, 4, 16))
    for few, many, most in zip(shortest, longer, longest, strict=True):
        if _seconds(pattern, found.anchored, many) < _SLOW:
            continue
        short = min(_seconds(pattern, found.anchored, few) for _ in range(5))
        if min(_seconds(pattern, found.anchored, many) for _ in range(3)) < _RATIO * short:
            continue
        # Memory, caches and other programs change the time of a linear pattern, but not by as much as a square does.
        if _seconds(pattern, found.anchored, most) > _RATIO**2 * short:
            return many[:40]
    return None


def main(folder: str) -> None:
    for found in patterns(Path(folder)):
        print(f"{found.place} ", end="", flush=True)
        if found.text is None:
            print("MADE AT RUN TIME", flush=True)
            continue
        bad = worst(found)
        print("linear" if bad is None else f"NOT LINEAR: {found.text!r} on {bad!r}…", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
