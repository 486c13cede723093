"""Every relative link and picture in the repository's Markdown leads to a file, and to a heading where it names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from documents import ROOT, anchors, broken_links, fences, links, markdown_files, prose


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_there_are_links_to_look_at() -> None:
    files = {path.relative_to(ROOT).as_posix(): path for path in markdown_files()}
    assert {"README.md", "SLOs.md", "alarms/README.md", "runbooks/README.md", "docs/tutorial.md"} <= files.keys()
    assert len(links(files["alarms/README.md"])) > 100


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](other.md)", []),
        ("[a](other.md#two-words)", []),
        ("[a](other.md#code--a-sign-and-a-link)", []),
        ("[a](other.md#again-1)", []),
        ("[a](#here) \n# Here", []),
        ("[a](folder/)", []),
        ("[a](https://example.com/x#y)", []),
        ("`[a](nowhere.md)`", []),
        ("```md\n[a](nowhere.md)\n```", []),
        ("[a](nowhere.md)", ["nowhere.md: no such file"]),
        ("![a](nowhere.svg)", ["nowhere.svg: no such file"]),
        ("[![a](other.md)](nowhere.md)", ["nowhere.md: no such file"]),
        ("[a](other.md#again-2)", ["other.md#again-2: no such heading"]),
        ("[a](#nowhere)", ["#nowhere: no such heading"]),
        ("[a]: nowhere.md", ["nowhere.md: no such file"]),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, broken: list[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.md").write_text(
        "# Two words\n## `code` & a sign, and a [link](x.md)\n```sh\n# No heading\n```\n# Again\n# Again\n",
        encoding="utf-8",
    )
    path = tmp_path / "page.md"
    path.write_text(text + "\n", encoding="utf-8")
    assert broken_links(path) == broken


def test_a_comment_in_a_block_is_no_heading(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("```sh\n# one\n```\n\n# two\n", encoding="utf-8")
    assert anchors(path) == {"two"}
    assert "one" not in prose(path)
    assert [fence.line for fence in fences(path)] == [1]
