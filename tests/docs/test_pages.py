"""README.md and docs/*.md: links resolve, named files exist, pages stay short."""

import re

import pytest
from doc_blocks import PAGES, ROOT, blocks, commands, example_files

EXAMPLES = {name for page in PAGES for name in example_files(page)}
FOLDERS = "benchmarks|configs|docs|rein|tests|tools|toy"


def prose(page):
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    assert links or page.name in ("performance.md", "reliability.md")
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    text = re.sub(r"\[[^]]*\]\([^)]*\)", "", prose(page))  # links are tested above
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)", text)
    for words in commands(page):
        named += [word for word in words if re.match(rf"(?:{FOLDERS})/", word)]
    for name in named:
        assert name in EXAMPLES or (ROOT / name).exists(), name


def test_pages_are_short_and_all_within_reach():
    lengths = {page.name: page.read_text().count("\n") for page in PAGES}
    assert lengths["README.md"] <= 140 and max(lengths.values()) <= 150, lengths
    reached, todo = set(), [PAGES[0]]
    while todo:
        page = todo.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)#\s]+\.md)", prose(page))
            todo += [(page.parent / link).resolve() for link in links]
    assert reached >= set(PAGES)


def test_readme_starts_with_the_two_commands_and_names_published_results_first():
    text = PAGES[0].read_text()
    assert [words[:2] for words in commands(PAGES[0])[:2]] == [
        ["make", "quickstart"], ["make", "test"]]
    order = ["docs/quickstart.jpg", "## Published results", "## Toy results", "## Install",
             "## Five lines of Python", "## Train, test, merge", "## Citation", "## Licence"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_every_published_command_is_printed_as_it_was(reference):
    published = (reference / "published_readme.txt").read_text()
    expected = re.findall(r"^python tools/.+?(?= *#|$)", published, re.MULTILINE)
    printed = {" ".join(words) for page in PAGES for words in commands(page)}
    assert len(expected) == 8 and set(expected) <= printed


def test_the_published_folder_tree_is_printed(reference):
    published = (reference / "published_readme.txt").read_text()
    tree = re.search(r"^Rein\n├.+?^```", published, re.DOTALL | re.MULTILINE).group()
    expected = set(re.findall(r"── ([\w.]+)$", tree, re.MULTILINE)) - {"..."}
    printed, = (text for text in blocks(ROOT / "docs/datasets.md", "") if "checkpoints" in text)
    assert len(expected) > 20 and expected <= set(re.findall(r"[\w.]+", printed))
