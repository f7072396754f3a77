"""Result files have full precision and are read back as written; the page is self-contained."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.errors import UserError
from rein.evaluation.curves import read_curves
from rein.evaluation.page import write_page
from rein.evaluation.report import paper_rows, write_markdown
from rein.evaluation.results import (
    DomainResults,
    ImageResult,
    RunRecord,
    image_miou,
    image_names,
    load_run,
    save_results,
)

RECORD = RunRecord(
    "work/iter_9.pth", "0123456789abcdef" * 4, "rein_tiny", "rein",
    {"citys": "1024x512", "acdc_night": "960x540"}, "slide, crop 512x512, stride 341x341", 7,
    {"rein": "1", "torch": "2"}, "CPU", "2026-01-01T00:00:00+00:00")
FAILED = ImageResult("citys", "data/b/3.png", error="data/b/3.png: the image does not decode.")


def some_images():
    """Return four images of two domains; class 18 never occurs."""
    rng = np.random.default_rng(0)
    images = []
    for i, path in enumerate(("data/a/0.png", "data/b/1.png", "night/2.png", "night/4.png")):
        counts = rng.integers(0, 1000, (19, 19)) + np.diag(rng.integers(0, 9000, 19))
        counts[18] = counts[:, 18] = 0
        images.append(ImageResult(
            "citys" if i < 2 else "acdc_night", path, counts, strip=b"\xff\xd8picture%d" % i))
    return images


def table_of(images):
    sums = [sum(image.confusion for image in images if image.domain == name)
            for name in ("citys", "acdc_night")]
    return DomainResults(
        ("citys", "acdc_night"), CLASSES, np.stack(sums), ("citys", "acdc_night"), "rein")


@pytest.fixture
def written(tmp_path):
    images = some_images()
    save_results(tmp_path / "new", table_of(images), [*images, FAILED], RECORD)
    return tmp_path / "new"


def test_json_holds_full_precision_failures_and_the_record(written):
    table, content = table_of(some_images()), json.loads((written / "results.json").read_text())
    citys = content["domains"]["citys"]
    assert content["protocol"] == "rein" and citys["name"] == "Cityscapes"
    assert citys["IoU"]["road"] == table.iou[0, 0] and citys["IoU"]["bicycle"] is None
    assert content["mean"]["mIoU"] == table.miou.mean()
    assert content["images"]["counted"] == 4
    assert content["images"]["failed"] == [
        {"domain": "citys", "image": "b/3.png", "error": FAILED.error}]
    assert content["run"]["digest"] == RECORD.digest and content["run"]["seed"] == 7
    assert sorted(p.name for p in written.iterdir()) == ["results.json", "results.npz"]


def test_runs_are_read_back_as_written(written):
    run = load_run(written)
    assert run.record == RECORD and run.mean_domains == ("citys", "acdc_night")
    assert list(run.confusion["citys"]) == ["a/0.png", "b/1.png"]
    assert list(run.confusion["acdc_night"]) == ["2.png", "4.png"]
    assert run.confusion["citys"]["b/1.png"].dtype == np.int64
    assert np.array_equal(run.confusion["citys"]["b/1.png"], some_images()[1].confusion)


def test_missing_or_invalid_results_raise(written, tmp_path):
    with pytest.raises(UserError, match="nowhere/results.json: no such file. A run is a folder"):
        load_run(tmp_path / "nowhere")
    (written / "results.json").write_text('{"domains": {}}')
    with pytest.raises(UserError, match="the results of this test are invalid"):
        load_run(written)


def test_image_names_are_independent_of_the_data_root():
    def named(root):
        return image_names([ImageResult("citys", f"{root}/val/ulm/1.png"),
                            ImageResult("citys", f"{root}/val/bonn/1.png"),
                            ImageResult("map", f"{root}/map/1.png")])
    assert named("data") == named("/mnt/x/y") == ["ulm/1.png", "bonn/1.png", "1.png"]


def test_image_miou_averages_over_its_labelled_classes():
    counts = np.zeros((3, 3), int)
    counts[0], counts[1] = (6, 0, 2), (0, 4, 0)  # class 2 is predicted only
    assert image_miou(counts) == pytest.approx((600 / 8 + 100) / 2)
    assert np.isnan(image_miou(np.zeros((3, 3), int)))


def test_markdown_has_miou_row_every_class_failures_and_record(tmp_path):
    images, table = some_images(), table_of(some_images())
    write_markdown(tmp_path / "results.md", table, [*images, FAILED], RECORD)
    text = (tmp_path / "results.md").read_text()
    lines = text.splitlines()
    assert "| config | checkpoint | protocol | Cityscapes | ACDC night | mean |" in lines
    assert (f"| rein_tiny | `0123456789ab` | rein | {table.miou[0]:.2f} | {table.miou[1]:.2f} | "
            f"{table.miou.mean():.2f} |") in lines
    assert f"| **mIoU** | **{table.miou[0]:.2f}**" in text and "| bicycle | - |" in text
    assert "1 of 5 images failed" in text and FAILED.error in text
    for fact in ("digest 0123456789ab", "rein_tiny", "Cityscapes 1024x512", "stride 341x341",
                 "training seed: 7", "torch 2"):
        assert fact in text


def test_latex_row_can_be_pasted():
    row = next(line for line in paper_rows([(RECORD, table_of(some_images()))]).splitlines()
               if "&" in line)
    assert re.fullmatch(r"rein\\_tiny & [\d.]+ & [\d.]+ & [\d.]+ \\\\  % protocol rein", row)


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


def test_curves_of_a_resumed_run_join(tmp_path):
    (tmp_path / "a").write_text('{"loss": 3.0, "step": 1}\n{"loss": 2.0, "step": 2}\n{"lo')
    (tmp_path / "b").write_text('{"loss": 1.5, "step": 2, "time": 1.0}\n{"loss": NaN, "step": 3}')
    assert read_curves([tmp_path / "a", tmp_path / "b"]) == {"loss": [(1, 3.0), (2, 1.5)]}
