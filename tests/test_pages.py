"""The pages: their code prints what stands there, their commands draw what they show."""

import re

import pytest

import pages
from mlpkern.cli import main

every_page = pytest.mark.parametrize("page", pages.PAGES)
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


@every_page
def test_code_prints_what_stands_below_it(page):
    blocks = pages.outputs(page)
    assert any(block["output"] for block, _ in blocks)
    for block, printed in blocks:
        assert pages.differences(block["output"] or "", printed) == []
        assert max(map(len, printed.splitlines()), default=0) <= 80


@pytest.mark.parametrize(
    "found", ["s1 (2, 3) 0.5", "s1  (2, 4)  0.502", "s2  (2, 4)  0.5", "s1 (2, 4) 0.5\n1", ""]
)
def test_a_wrong_output_is_found(found):
    assert pages.differences("s1  (2, 4)  0.5\n", found)
    assert pages.differences("s1  (2, 4)  0.5\n", "s1  (2, 4)  0.5001\n") == []


@every_page
def test_commands_draw_the_pictures_that_are_shown(page, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "images").mkdir(parents=True)
    for arguments in pages.commands(page):
        assert main(arguments) == 0
    drawn = sorted(tmp_path.rglob("*.*"))
    shown = sorted(f"docs/{path}" for path in set(PICTURE.findall(pages.text_of(page))))
    assert [path.relative_to(tmp_path).as_posix() for path in drawn] == shown
    for path in drawn:
        picture = path.read_bytes()
        assert picture.startswith(b"<svg" if path.suffix == ".svg" else b"\x89PNG")
        assert len(picture) < 150_000


@every_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"[^!]\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)", pages.text_of(page)):
        assert (pages.REPOSITORY / "docs" / link).exists(), link


def test_every_picture_is_shown_and_there():
    """Those in docs/ are kept; those in docs/images/ are drawn when the documentation is built."""
    everywhere = (pages.REPOSITORY / "docs").glob("*.md")
    shown = {path for page in everywhere for path in PICTURE.findall(page.read_text())}
    shown = {path for path in shown if not path.startswith("images/")}
    assert {path.name for path in (pages.REPOSITORY / "docs").glob("*.png")} == shown
