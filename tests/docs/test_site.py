"""The documentation's site builds without a warning, and needs nothing from elsewhere."""

import os
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
from doc_blocks import ROOT

pytest.importorskip("mkdocs", reason="needs the extra `docs`")
REPOSITORY = "https://github.com/OWNER/rein"


def build(folder, **environment):
    """Build the site strictly."""
    env = dict(os.environ, NO_MKDOCS_2_WARNING="1", **environment)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build(folder, REIN_REPOSITORY=REPOSITORY)
    return folder


def test_every_page_is_on_the_site(site):
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html")
             for page in (ROOT / "docs").rglob("*.md")}
    found = {page.relative_to(site) for page in site.rglob("*.html")}
    assert pages <= found
    assert {path.name for path in found - pages} == {
        "404.html", "changelog.html", "contributing.html"}


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]* src=\"?([^\s\">]+)|<link[^>]* href=\"?([^\s\">]+)",
            re.sub(r"<link[^>]* rel=\"?(?:canonical|prev|next)[^>]*>", "", page.read_text()))
        assert loaded and not [a or b for a, b in loaded if re.match("(https?:)?//", a or b)], page
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", styles)


def test_code_is_linked_in_the_repository(site):
    text = (site / "adapters.html").read_text()
    assert f"{REPOSITORY}/blob/HEAD/configs/peft/lora_dinov2_mask2former_512x512_bs1x4.py" in text
    assert f"{REPOSITORY}/tree/HEAD/configs/soma" in (site / "training.html").read_text()
    assert "changelog.html" in (site / "contributing.html").read_text()


def test_code_is_named_if_no_repository_is_set():
    rewrite = runpy.run_path(str(ROOT / "docs/links.py"))["on_page_markdown"]
    page = SimpleNamespace(file=SimpleNamespace(src_uri="adapters.md"))
    text = "[`soma/`](../configs/soma), [it](training.md#configs)\n```\n[x](../configs)\n```\n"
    assert rewrite(text, page, SimpleNamespace(repo_url="")) == text.replace(
        "[`soma/`](../configs/soma)", '<abbr title="configs/soma">`soma/`</abbr>')
