"""Inputs are found in files, folders, patterns and cameras, and keep their folders' tree."""

import numpy as np
import pytest
from fake_segmentor import write_image
from PIL import Image

from rein.engine.predicting.sources import (
    Unreadable,
    find_sources,
    kind_of,
    output_name,
    read_rgb,
)
from rein.errors import UserError


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/a/x.jpg", "in/b/x.jpg", "in/b/x.png", "in/top.JPG", "in/._top.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no image")
    (tmp_path / "in/film.MP4").touch()


def names(*inputs, out="out"):
    return sorted(source.name for source in find_sources(inputs, out))


def test_a_folder_is_searched_and_keeps_its_tree():
    assert names("in") == ["a/x.jpg", "b/x.jpg", "b/x.png", "film.MP4", "top.JPG"]


def test_files_and_folders_are_named_from_their_common_folder():
    assert names("in/a/x.jpg") == ["x.jpg"]
    assert names("in/a/x.jpg", "in/b/x.jpg") == names("in/a", "in/b/x.jpg") == [
        "a/x.jpg", "b/x.jpg"]
    assert names("in/a", "in/a/x.jpg") == ["x.jpg"]  # once


def test_a_pattern_is_searched_from_its_fixed_part():
    assert names("in/*/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert names("in/**/*.png") == ["b/x.png"]


def test_outputs_inside_the_inputs_are_no_inputs(tmp_path):
    write_image(tmp_path / "in/out/overlay/top.jpg")
    assert "out/overlay/top.jpg" in names("in") and "out/overlay/top.jpg" not in names(
        "in", out="in/out")


@pytest.mark.parametrize("text", ["in", "in/b", "in/*/x.jpg"])
def test_outputs_among_all_inputs_need_another_folder(text):
    with pytest.raises(UserError, match="is in .*/in, the folder of the outputs.*--out"):
        names(text, out="in")


def test_a_number_is_a_camera_unless_a_file_has_that_name(tmp_path):
    assert find_sources(["1"], "out") == [("1", "camera_1", "camera")]
    write_image(tmp_path / "1/a.jpg")
    assert names("1") == ["a.jpg"]


@pytest.mark.parametrize("text, message", [
    ("nowhere.jpg", "nowhere.jpg: no such file or folder"),
    ("in/*/y.jpg", "no image and no video found"),
    ("", "^the name of a file or folder is empty"),
])
def test_an_input_without_images_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        find_sources(["in/top.JPG", text], "out")


def test_videos_are_told_by_their_suffix(tmp_path):
    assert kind_of(tmp_path / "film.MP4") == "video" and kind_of(tmp_path / "x.jpg") == "image"


def test_an_image_is_turned_as_its_exif_data_say(tmp_path):
    picture = Image.new("RGB", (4, 2))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (4, 2, 3)


def test_colours_are_rgb_and_grey_images_have_three(tmp_path):
    assert read_rgb(write_image(tmp_path / "red.png", 255))[0, 0].tolist() == [255, 0, 0]
    Image.fromarray(np.full((3, 5), 7, np.uint8)).save(tmp_path / "grey.png")
    assert (read_rgb(tmp_path / "grey.png") == np.full((3, 5, 3), 7)).all()


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_a_broken_image_is_named(tmp_path, content):
    path = tmp_path / "in/b/x.png"
    path.write_bytes(path.read_bytes()[:-5] if content == "cut" else content)
    with pytest.raises(Unreadable, match="x.png: the image (does not decode|is truncated)"):
        read_rgb(path)


def test_outputs_of_equal_stems_differ():
    assert output_name("a/x.jpg", ".png") == "a/x.jpg.png"
    assert output_name("a/x.PNG", ".png") == "a/x.PNG"
