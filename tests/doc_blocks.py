"""The fenced blocks of README.md and docs/*.md."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Return the text of a page's blocks in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def example_files(page: Path) -> dict[str, str]:
    """Return {path: text} of the Python blocks whose first line names a file."""
    named = (re.match(r"# (\S+\.py)\n(.*)", text, re.DOTALL) for text in blocks(page, "python"))
    return {match.group(1): match.group(2) for match in named if match}


def commands(page: Path) -> list[list[str]]:
    """Return the words of each command in a page's bash blocks, without comments."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    split = (shlex.split(line, comments=True) for line in lines)
    return [words for words in split if words]


def fences(page: Path) -> list[str]:
    """Return the language of each of a page's blocks, "" if none is given."""
    marks = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    return [mark.strip() for mark in marks[::2]]
