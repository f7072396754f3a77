"""Files for the page are read within its limits; others are named with a reason."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from rein.engine.predicting.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from rein.errors import UserError
from rein.web import inputs


def picture(path, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 80).convert("RGB").save(path)
    return path


def film(path, frames, rate=10.0, size=(64, 48), codec="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), i * 200 // frames, np.uint8))
    writer.release()
    return path


def test_an_image_is_read_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.jpg", exif=turned)
    assert inputs.read_picture(tmp_path / "a.jpg").shape == (60, 40, 3)


def test_what_is_no_whole_image_is_named_without_its_folder(tmp_path):
    whole = picture(tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    (tmp_path / "text.png").write_text("street")
    (tmp_path / "head.png").write_bytes(whole[:60])
    jpeg = picture(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(jpeg[:len(jpeg) * 2 // 3])  # decoders fill it with grey
    for name in ("cut.png", "cut.jpg", "text.png", "head.png", "none.png"):
        with pytest.raises(UserError, match=f"^{name}: the file does not decode"):
            inputs.read_picture(tmp_path / name)


def test_too_large_an_image_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "read_image", lambda path: pytest.fail("decoded"))
    Image.new("L", (inputs.MAX_SIDE + 1, 1)).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match="wide.png: 4097 x 1 pixels; this page takes at most 4096"):
        inputs.read_picture(tmp_path / "wide.png")
    header = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
        + struct.pack(">I", zlib.crc32(header)))
    with pytest.raises(UserError, match="bomb.png: "):
        inputs.read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize("frames, rate, expected", [
    (12, 10, 6), (3, 10, 2), (300, 25, 50), (4, 4, 4)])
def test_a_video_gives_its_first_seconds_at_the_pages_rate(tmp_path, frames, rate, expected):
    opened = inputs.open_film(film(tmp_path / "a.mp4", frames, rate))
    found = list(opened.frames)
    assert len(found) == opened.count == expected
    assert opened.rate == pytest.approx(rate / max(round(rate / 5), 1))
    assert found[0].shape == (48, 64, 3)
    last = (expected - 1) * max(round(rate / 5), 1)
    assert found[-1].mean() == pytest.approx(last * 200 // frames, abs=4)


def test_large_frames_are_scaled_to_even_sides(tmp_path):
    opened = inputs.open_film(film(tmp_path / "a.mp4", 1, size=(2000, 1002)))
    assert next(opened.frames).shape == (640, 1280, 3)


def test_a_broken_video_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"0" * 99)
    with pytest.raises(UserError, match=r"^a.mp4: the video does not decode"):
        inputs.open_film(tmp_path / "a.mp4")
    assert inputs.is_video("A.MP4") and not inputs.is_video("a.png")


def test_examples_come_from_each_test_domain_whose_data_exists(tmp_path):
    for town in ("a", "b", "c"):
        picture(tmp_path / f"acdc/rgb/night/{town}/1.png")
    datasets = [
        dict(data_root=str(tmp_path / "acdc"), data_prefix=dict(img_path="rgb/night"),
             img_suffix=".png", domain="acdc_night"),
        dict(data_root=str(tmp_path / "cityscapes"), data_prefix=dict(img_path="x"))]
    cfg = dict(test_dataloader=dict(dataset=dict(datasets=datasets)))
    found = inputs.examples_of(cfg)
    assert [domain for _, domain in found] == ["ACDC night"] * 2
    assert [path.parent.name for path, _ in found] == ["a", "c"]
    assert inputs.examples_of({}) == []


def test_examples_of_a_folder_are_named_after_its_subfolders(tmp_path):
    picture(tmp_path / "top/x.jpg")
    picture(tmp_path / "top/dusk/y.png")
    assert [(path.name, domain) for path, domain in inputs.examples_in(tmp_path / "top")] == [
        ("x.jpg", "top"), ("y.png", "dusk")]
    for folder, message in (("nowhere", "no such folder"), ("top/empty", "has no image")):
        (tmp_path / "top/empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=message):
            inputs.examples_in(tmp_path / folder)


def test_examples_are_found_in_the_repository(tmp_path, monkeypatch):
    picture(tmp_path / "photos/x.jpg")
    monkeypatch.setattr("rein.paths.REPOSITORY", tmp_path)
    assert inputs.examples_in("photos") == [(tmp_path / "photos/x.jpg", "photos")]


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_image_that_rein_predict_takes_can_be_shown(tmp_path, suffix):
    path = picture(tmp_path / f"a{suffix}")
    assert inputs.read_picture(path).shape == (40, 60, 3) and not inputs.is_video(path)


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_video_that_rein_predict_takes_can_be_shown(tmp_path, suffix):
    path, codec = tmp_path / f"a{suffix}", {".gif": None, ".webm": "VP80", ".wmv": "WMV2",
                                            ".mpg": "mpg1", ".mpeg": "mpg1"}.get(suffix, "mp4v")
    if codec is None:
        frames = [Image.new("L", (64, 48), i * 50) for i in range(5)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    else:
        film(path, 5, codec=codec, rate=25.0)
    assert inputs.is_video(path) and next(inputs.open_film(path).frames).shape == (48, 64, 3)
