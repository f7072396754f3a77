"""The page's actions work, and it is served on loopback alone with nothing from elsewhere."""

import os
import re
import socket
import urllib.error
import urllib.request
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from commands import ROOT, error_line, run_tool
from fake_segmentor import predict_street

from rein.datasets import corruptions
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.errors import UserError
from rein.web import conditions, page, views
from rein.web.demo import about, run_demo
from rein.web.inputs import Example
from rein.web.page import Actions


@pytest.fixture
def actions(street):
    return Actions(predict_street, CLASSES, [Example(street, "Toy")])


@pytest.fixture
def gradio(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    return pytest.importorskip("gradio", reason="needs the extra `demo`")


def test_a_condition_changes_the_image_and_keeps_the_original(actions, street, monkeypatch):
    monkeypatch.setattr(conditions, "corrupt", lambda image, *_, seed: image // 2)
    shown = actions.open_image(street)
    assert shown.current is shown.original and shown.condition == conditions.ORIGINAL
    fog = actions.change_condition(shown, "fog", 4)
    assert (fog.condition, fog.severity, fog.original) == ("fog", 4, shown.original)
    assert views.agreement(fog.original, fog.current) == 0.5  # the sky has become a building
    assert actions.change_condition(fog, conditions.ORIGINAL, 4).current is shown.original
    pictures = actions.compare(shown, 2, views.draw)
    assert [caption for _, caption in pictures] == [
        f"50% {conditions.LABELS[name]}" for name in conditions.COMPARED]


@pytest.mark.faults  # compiles each corruption
def test_each_offered_condition_corrupts(actions, street):
    if corruptions.missing_library():
        pytest.skip("the optional library is not installed")
    image = actions.open_image(street).original.image
    for _, name in conditions.choices():
        changed = conditions.under(image, name, 5)
        assert changed.shape == image.shape and changed.dtype == np.uint8
        assert (changed != image).any() == (name != conditions.ORIGINAL), name
    with pytest.raises(UserError, match="fog cannot be computed for an image of 96 x 1 pixels|^$"):
        conditions.under(image[:1], "fog", 1)
        raise UserError("")  # if the library can


def test_a_video_is_drawn_frame_by_frame(actions, tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    for _ in range(8):
        writer.write(np.full((64, 96, 3), 200, np.uint8))
    writer.release()
    told = []
    out, frames = actions.film(tmp_path / "a.mp4", lambda one: views.draw(one, views.COLORS),
                               lambda done, **_: told.append(done))
    capture = cv2.VideoCapture(str(out))
    drawn = capture.read()[1][..., ::-1]
    assert (frames, told, out.suffix) == (4, [(i, 4) for i in range(4)], ".webm")
    assert np.abs(drawn[60, 48].astype(int) - PALETTE[0]).max() < 20  # road
    out.unlink()


def test_the_page_is_served_on_loopback_with_nothing_from_elsewhere(gradio, actions, street):
    built = page.build_page(actions, "toy <b>", "19 classes")
    street.with_name("other.png").write_bytes(street.read_bytes())
    with page.served(built, PALETTE, examples=actions.examples) as url:
        assert url.startswith("http://127.0.0.1:") and not built.share
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False" and not built.analytics_enabled
        text = urllib.request.urlopen(url).read().decode()
        loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.?(https?://[^\s\"'>]+)", text)
        assert not [one for one in loaded if not one.startswith(url)]
        assert "toy &lt;b&gt;" in text or "toy \\u003cb" in text or "&lt;b&gt;" in text
        assert "fonts.googleapis" not in text
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError):
            other.bind(("127.0.0.1", port))
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken"), \
                page.served(page.build_page(actions, "b", ""), PALETTE, port):
            pass
        for path in (ROOT / "setup.py", street.with_name("other.png"), "/etc/hostname"):
            with pytest.raises(urllib.error.HTTPError, match="40[34]"):
                urllib.request.urlopen(f"{url}gradio_api/file={path}")
        assert urllib.request.urlopen(f"{url}gradio_api/file={street}").status == 200
        body = b"--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.png\"\r\n\r\n"
        body += bytes(page.inputs.MAX_MEGABYTES * 2**20 + 9) + b"\r\n--x--\r\n"
        upload = urllib.request.Request(
            f"{url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"})
        with pytest.raises(urllib.error.HTTPError, match="413"):
            urllib.request.urlopen(upload)


def test_the_page_says_what_to_install_for_corruptions(gradio, actions, monkeypatch):
    find = corruptions.importlib.util.find_spec
    monkeypatch.setattr(corruptions.importlib.util, "find_spec",
                        lambda name: None if name == "numba" else find(name))
    config = str(page.build_page(actions, "toy", "").get_config_file())
    assert "Not installed: numba. Run `pip install numba" in config
    assert "elem_id': 'condition'" not in config and "elem_id': 'legend'" in config


def test_without_gradio_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(page.os.sys.modules, "gradio", None)
    line = error_line(run_tool(ROOT / "tools/demo.py", "missing.pth", check=False))
    assert "the page needs Gradio: " in line and "pip install 'rein-dgss[demo]'" in line


@pytest.mark.parametrize("value, message", [
    (99999, "--port: 99999: expected a number from 1 to 65535"), (0, "--port: 0: expected")])
def test_a_port_out_of_range_is_refused_by_the_parser(value, message):
    done = run_tool(ROOT / "tools/demo.py", "missing.pth", "--port", value, check=False)
    assert done.returncode == 2 and message in done.stderr


def test_a_taken_port_is_found_before_the_model_loads(gradio):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken"):
            run_demo("missing.pth", port=port)
    with pytest.raises(UserError, match="port 99999: expected a number from 1"):
        run_demo("missing.pth", port=99999)


def test_only_the_page_imports_gradio():
    importing = [path.relative_to(ROOT).as_posix() for path in (ROOT / "rein").rglob("*.py")
                 if re.search(r"^\s*(?:import|from) gradio", path.read_text(), re.M)]
    assert importing == ["rein/web/page.py"]


def test_street_scenes_are_named_for_cityscapes_classes_alone():
    model = SimpleNamespace(classes=CLASSES, precision="fp32", device="cpu")
    assert about(model) == (
        "Segments street scenes of domains unseen in training: 19 classes, fp32 on cpu.")
    model.classes = ("rest", "crack")
    assert about(model) == "Segments images: 2 classes, fp32 on cpu."
