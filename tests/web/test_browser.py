"""The page works in a real browser: Debian's Chromium without a window, driven by Playwright."""

import io
import shutil

import numpy as np
import pytest
from fake_segmentor import predict_street
from PIL import Image

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.web.inputs import Example
from rein.web.page import Actions, build_page, served

pytestmark = pytest.mark.faults  # 20 s


@pytest.fixture
def browser():
    """Chromium, or a skip with the reason."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, of the extra `test`")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: `apt install chromium`")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A visit of the page that collects errors and the hosts it talks to."""

    def __init__(self, browser, url, width):
        self.tab = browser.new_page(viewport=dict(width=width, height=900))
        self.errors, self.hosts = [], set()
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: self.errors.append(message.text)
                    if message.type == "error" else None)
        self.tab.on("request", lambda request: self.hosts.add(request.url.split("/")[2])
                    if request.url.startswith("http") else None)
        self.tab.goto(url)
        self.tab.wait_for_selector("#drop input[type=file]", state="attached")
        self.seen = ""

    def changed(self):
        """Wait for another result; return it as an array."""
        self.tab.wait_for_function(
            "seen => { const img = document.querySelector('#result img');"
            " return img && img.complete && img.src && img.src !== seen }", arg=self.seen)
        self.seen = self.tab.get_attribute("#result img", "src")
        answer = self.tab.request.get(self.seen)
        return np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB")).astype(int)

    def close_messages(self):
        self.tab.get_by_role("button", name="Close").first.click()


def near(pixel, color):
    return np.abs(pixel - np.array(color)).max() <= 12  # JPEG


@pytest.mark.parametrize("width", [1280, 390])
def test_a_visitor_uploads_an_image_and_changes_the_view(
        browser, street, tmp_path, monkeypatch, width):
    pytest.importorskip("gradio", reason="needs the extra `demo`")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    examples = [Example(street, "Toy")]
    page = build_page(Actions(predict_street, CLASSES, examples), "toy", "19 classes")
    with served(page, PALETTE, examples=examples) as url:
        visit = Visit(browser, url, width)
        tab = visit.tab
        tab.set_input_files("#drop input[type=file]", street)
        first = visit.changed()
        road, sky = (96, 20), (20, 150)  # (y, x)
        assert first.shape == (128, 192, 3)
        assert near(first[road], (np.array(PALETTE[0]) + 90) / 2)
        assert near(first[sky], (np.array(PALETTE[10]) + 200) / 2)

        tab.fill("#opacity input[type=number]", "1")
        tab.keyboard.press("Tab")
        assert near(visit.changed()[road], PALETTE[0])
        tab.click("#legend [data-testid=checkbox-group] label:nth-of-type(1)")
        without = visit.changed()
        assert near(without[road], (90, 90, 90)) and near(without[sky], PALETTE[10])
        tab.click("#view label:nth-of-type(3)")
        assert near(visit.changed()[road], np.array([72, 40, 120]))  # of low confidence
        tab.wait_for_selector(".confidence-bar")
        assert "Domain shift 1.20" in tab.inner_text("#summary")

        (tmp_path / "broken.png").write_text("no image")
        tab.set_input_files("#drop input[type=file]", tmp_path / "broken.png")
        tab.wait_for_selector("text=broken.png: the file does not decode")
        assert tab.get_attribute("#result img", "src") == visit.seen  # stays
        visit.close_messages()
        tab.click("#view label:nth-of-type(1)")
        visit.changed()
        tab.click("#examples button.thumbnail-item")
        tab.wait_for_function("() => document.querySelector('#summary').innerText.includes('192')")
        tab.fill("#unsure input[type=number]", "0.9")
        tab.keyboard.press("Tab")
        tab.wait_for_selector("text=Hatched: unsure, the confidence is below 0.90.")

        assert visit.errors == []
        assert visit.hosts == {url.split("/")[2]}
        assert tab.evaluate("document.documentElement.scrollWidth") == width
