"""A hook of MkDocs: links to files outside docs/ work on the site as they do on GitHub.

Pages link to code by relative paths, `[text](../configs/x.py)`. On the site these become links to
the repository if `repo_url` is set, else the text with the path as its tooltip. CHANGELOG.md and
CONTRIBUTING.md become pages. Source: https://www.mkdocs.org/user-guide/configuration/#hooks
"""

import html
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository that are pages of the site, and the pages' names."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for name, page in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **unused) -> str:
    """Rewrite a page's links, leaving its code alone."""
    uri = page.file.src_uri
    folder = "" if uri in ROOT_PAGES.values() else posixpath.dirname(f"docs/{uri}")
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [
        re.sub(r"(?<!!)\[([^]\n]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)",
               lambda link: _rewritten(link, folder, config.repo_url), part)
        for part in parts[::2]]
    return "".join(parts)


def _rewritten(link: re.Match, folder: str, repository: str | None) -> str:
    text, path, anchor = link[1], link[2], link[3] or ""
    target = posixpath.normpath(posixpath.join(folder, path))
    if target in ROOT_PAGES or (target.startswith("docs/") and not folder):
        return f"[{text}]({ROOT_PAGES.get(target, target.removeprefix('docs/'))}{anchor})"
    if target.startswith("docs/"):
        return link[0]
    if not (ROOT / target).exists():
        return link[0]  # MkDocs reports it
    if repository:
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"[{text}]({repository.rstrip('/')}/{kind}/HEAD/{target}{anchor})"
    return f'<abbr title="{html.escape(target)}">{text}</abbr>'
