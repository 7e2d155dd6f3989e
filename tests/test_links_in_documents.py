"""Links within the project lead to a file, and to a heading of it; every document can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Every document: none is left out because somebody forgot it here.
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *(path for folder in ("docs", "benchmarks") for path in (ROOT / folder).rglob("*.md"))}
)
REPOSITORY = re.compile(
    r"https://github\.com/openclaw-auth-exporter/openclaw-auth-exporter/(?:blob|tree)/main/([^\s#)]*)"
)
IN_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A document without its blocks of code, whose comments look like headings."""
    return IN_CODE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them: the second of equal ones ends in -1."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        words = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return {
        name if not found[:place].count(name) else f"{name}-{found[:place].count(name)}"
        for place, name in enumerate(found)
    }


def links(document: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(document.read_text(encoding="utf-8")))
    found = re.findall(r"\]\(\s*([^)\s]+)\s*\)|^\[[^\]]+\]: (\S+)", text, re.MULTILINE)
    return [inline or reference for inline, reference in found]


def problem_of(document: Path, link: str) -> str | None:
    """Why a link leads nowhere; None if it leads somewhere, or outside of the project."""
    path, _, anchor = link.partition("#")
    if (ours := REPOSITORY.fullmatch(path)) is not None:
        target = ROOT / ours[1]
    elif path.startswith(("http:", "https:", "mailto:")):
        return None
    else:
        target = document if not path else (document.parent / path).resolve()
    if not target.exists():
        return "there is no such file"
    if anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
        return "the document has no such heading"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    found = {link: problem_of(document, link) for link in links(document)}
    assert {link: problem for link, problem in found.items() if problem} == {}


def test_the_check_of_links_notices_each_mistake(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# One `two`\n## Same\n## Same\n```sh\n# No heading\n[no](link.md)\n```\n"
        "[a](b.md) [b](#nothing) [c](#no-heading) [d](#one-two) [e](#same-1) [f](#same-2) `[g](h.md)`\n[h]: i.md\n"
        "[i](https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/nothing.md)\n"
    )
    wrong = [link for link in links(document) if problem_of(document, link)]
    assert [link.rpartition("/")[2] for link in wrong] == [
        "b.md",
        "#nothing",
        "#no-heading",
        "#same-2",
        "i.md",
        "nothing.md",
    ]


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        for link in links(document):
            target = (document.parent / link.partition("#")[0]).resolve()
            if target.is_dir():
                target = target / "README.md"
            if target in DOCUMENTS and target not in reached:
                waiting.append(target)
    assert {str(path.relative_to(ROOT)) for path in {*DOCUMENTS} - reached} == set()
