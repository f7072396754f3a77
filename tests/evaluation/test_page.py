import base64
from html.parser import HTMLParser

from some_results import FAILED, RECORD, some_images, table_of

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.evaluation.page import write_page
from rein.evaluation.results import DomainResults, ImageResult


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "srcset")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_shows_everything_and_is_self_contained(tmp_path):
    images = some_images()
    curves = {"loss": [(1, 3.0), (2, 2.5)], "mean_mIoU": [(1, 10.0), (2, 12.0)]}
    write_page(tmp_path / "p.html", table_of(images), [*images, FAILED], RECORD, curves, PALETTE)
    text = (tmp_path / "p.html").read_text()
    page = _Page(text)
    assert page.open == [] and len(page.addresses) == 4
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert base64.b64encode(images[0].strip).decode() in text
    assert "url(" not in text and "<script" not in text and "@import" not in text
    assert page.tags.count("td") == 2 * 19 * 19 + 3 * 20  # two matrices and the IoU table
    assert page.tags.count("polyline") == 4 and "1 of 5 images failed" in text
    assert text.index("best: ") < text.index("worst: ") and "a/0.png" in text


def test_page_escapes_names(tmp_path):
    images = [ImageResult("<b>", "x/<i>.png", some_images()[0].confusion, strip=b"1")]
    table = DomainResults(("<b>",), CLASSES, images[0].confusion[None], ("<b>",))
    write_page(tmp_path / "p.html", table, images, RECORD)
    text = (tmp_path / "p.html").read_text()
    assert "<b></" not in text and "<i>.png" not in text and "&lt;i&gt;.png" in text
