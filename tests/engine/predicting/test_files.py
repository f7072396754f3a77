"""Files are predicted once, completely, in their folders' tree; broken ones are named."""

import json
import os
import re

import numpy as np
import pytest
from fake_segmentor import FakeSegmentor, read_film, write_film, write_image
from PIL import Image

from rein.engine.predicting.files import PredictionOptions, predict_files
from rein.engine.predicting.sources import find_sources
from rein.errors import UserError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("a/x.jpg", "a/x.png", "b/x.jpg", "top.png")):
        write_image(tmp_path / "in" / name, red=60 * i)
    return tmp_path / "in"


def predict(*inputs, model=None, settings=None, **options):
    model = model or FakeSegmentor()
    options = PredictionOptions(**dict(batch_size=2) | options)
    return predict_files(model, find_sources([*map(str, inputs)], "out"), "out", options, settings)


def files(folder="out"):
    return sorted(os.path.relpath(os.path.join(root, name), folder)
                  for root, _, names in os.walk(folder) for name in names)


def entries():
    with open("out/predictions.json") as file:
        return json.load(file)["inputs"]


def test_each_image_gets_its_outputs_in_the_folders_tree(photos):
    assert predict(photos)[:3] == (4, 0, [])
    assert files() == [
        "colors/a/x.jpg.png", "colors/a/x.png", "colors/b/x.jpg.png", "colors/top.png",
        "labels/a/x.jpg.png", "labels/a/x.png", "labels/b/x.jpg.png", "labels/top.png",
        "overlay/a/x.jpg", "overlay/a/x.png.jpg", "overlay/b/x.jpg", "overlay/top.png.jpg",
        "predictions.json"]
    labels = np.array(Image.open("out/labels/top.png"))
    assert labels.shape == (40, 60) and (labels == 2).all()
    assert (np.array(Image.open("out/colors/top.png")) == (0, 0, 142)).all()
    assert entries()["top.png"]["shares"] == {"road": 0.0, "sky": 0.0, "car": 1.0}
    assert entries()["top.png"]["confidence"] == 0.3


def test_finished_images_are_kept_and_changed_ones_repeated(photos):
    predict(photos)
    model = FakeSegmentor()
    assert predict(photos, model=model)[:2] == (0, 4) and model.seen == 0
    write_image(photos / "top.png", red=5, size=(30, 30))
    os.remove("out/labels/a/x.png")
    assert predict(photos)[:2] == (2, 2)
    assert predict(photos, save=["side"])[:2] == (4, 0)
    assert Image.open("out/side/a/x.jpg").size == (120, 40)
    assert predict(photos, overwrite=True)[:2] == (4, 0)


def test_another_model_or_file_of_the_same_name_replaces_nothing_unasked(photos):
    predict(photos, settings=dict(model="m.pth"))
    with pytest.raises(UserError, match="predictions made with model='m.pth', not 'n.pth'"):
        predict(photos, settings=dict(model="n.pth"))
    write_image(photos.parent / "else/top.png")
    with pytest.raises(UserError, match=r"overlay/top.png.jpg: is the prediction of .*in/top.png"):
        predict("else", settings=dict(model="m.pth"))
    assert predict("else", settings=dict(model="n.pth"), overwrite=True).done == 1


def test_an_option_left_out_is_the_same_as_one_that_the_record_lacks(photos):
    predict(photos, settings=dict(model="m.pth"))
    assert predict(photos, settings=dict(model="m.pth", config=None))[:2] == (0, 4)


def test_two_images_never_share_an_output(photos):
    write_image(photos / "a/x.jpg.png")
    found = predict(photos)
    assert found[:2] == (3, 0) and predict(photos)[:2] == (0, 3)
    assert [reason for _, reason in found.failed if re.search(
        r"a/x.jpg.png: would share its output .*/a/x.jpg.png with .*a/x.jpg\. Rename", reason)]
    assert len(found.failed) == 2 and not os.path.exists("out/labels/a/x.jpg.png")


def test_links_to_missing_files_are_named_and_the_others_predicted(photos):
    predict(photos)
    os.rename("in/a/x.jpg", "away.jpg")
    os.symlink("nowhere.jpg", "in/a/x.jpg")
    os.symlink("nowhere.mp4", "in/film.mp4")
    found = predict(photos)
    assert found[:2] == (0, 3)
    assert all("is a link to nowhere" in reason for _, reason in found.failed)
    assert len(found.failed) == 2


def test_progress_counts_what_is_predicted(photos, capsys):
    predict("in/top.png")
    assert re.search("image/s|s/image", capsys.readouterr().err)
    write_film(photos / "film.mp4", frames=2)
    predict("in/film.mp4")
    assert re.search("frame/s|s/frame", capsys.readouterr().err)


def test_broken_inputs_are_named_and_the_others_predicted(photos):
    (photos / "a/x.jpg").write_bytes(b"no image")
    (photos / "film.mp4").write_bytes(b"no film")
    found = predict(photos)
    assert found.done == 3 and len(found.failed) == 2
    assert [reason for _, reason in found.failed if "x.jpg: the image does not decode" in reason]
    assert [reason for _, reason in found.failed if "film.mp4: the video does not open" in reason]
    assert sorted(entries()) == ["a/x.png", "b/x.jpg", "top.png"]
    assert predict(photos)[:2] == (0, 3)


def test_an_interrupted_run_goes_on_where_it_stopped(photos):
    with pytest.raises(KeyboardInterrupt):
        predict(photos, model=FakeSegmentor(interrupt_after=2))
    assert len(entries()) == 2
    assert predict(photos)[:2] == (2, 2)


@pytest.mark.parametrize("name, fps", [("film.mp4", 12.5), ("film.avi", 30000 / 1001)])
def test_a_film_keeps_its_frames_rate_and_size(tmp_path, monkeypatch, name, fps):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / name, frames=11, fps=fps)
    assert predict(name, save=["overlay", "side", "labels"])[:3] == (1, 0, [])
    made = f"{name}" if name.endswith(".mp4") else f"{name}.mp4"
    frames, rate = read_film(f"out/overlay/{made}")
    assert len(frames) == 11 and rate == pytest.approx(fps, rel=1e-4)
    assert frames[0].shape == (48, 64, 3)
    sides, _ = read_film(f"out/side/{made}")
    assert len(sides) == 11 and sides[0].shape == (48, 128, 3)
    labels = [np.array(Image.open(f"out/labels/{name}/{i:06d}.png")).max() for i in range(11)]
    assert labels[0] == 0 and labels[-1] == 2 and labels == sorted(labels)
    entry = entries()[name]
    assert entry["frames"] == 11 and sum(entry["shares"].values()) == pytest.approx(1, abs=1e-4)


def test_an_interrupted_film_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "film.mp4")
    with pytest.raises(KeyboardInterrupt):
        predict("film.mp4", model=FakeSegmentor(interrupt_after=5), save=["overlay", "labels"])
    assert files() == ["predictions.json"] and entries() == {}


def test_a_film_that_ends_early_is_named_and_its_frames_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = write_film(tmp_path / "film.avi", frames=40)
    content = film.read_bytes()
    film.write_bytes(content[:len(content) // 2])
    found = predict("film.avi")
    assert re.search(r"film.avi: only \d+ of 40 frames can be read", found.failed[0][1])
    assert 0 < len(read_film("out/overlay/film.avi.mp4")[0]) < 40


def test_frames_limit_a_film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "film.mp4")
    assert predict("film.mp4", frames=3).failed == []
    assert len(read_film("out/overlay/film.mp4")[0]) == 3


def test_ctrl_c_ends_the_recording_of_a_camera(tmp_path, monkeypatch):
    """A film stands in for the camera."""
    monkeypatch.chdir(tmp_path)
    film = str(write_film(tmp_path / "film.mp4", frames=30))
    from rein.engine.predicting import videos
    opened = videos.cv2.VideoCapture
    monkeypatch.setattr(
        videos.cv2, "VideoCapture", lambda path: opened(film if path == 0 else path))
    found = predict("0", model=FakeSegmentor(interrupt_after=6, shift=1.5))
    assert found.failed == [] and found.unfamiliar == [(*entries(), 1.5)]
    made, = (name for name in files("out/overlay"))
    assert re.fullmatch(r"camera_0_\d{8}-\d{6}\.mp4", made)
    assert len(read_film(f"out/overlay/{made}")[0]) == 6


def test_unsure_pixels_are_hatched_and_counted(photos):
    predict("in/top.png", unsure=0.5)
    assert entries()["top.png"]["unsure"] == 1.0
    hatched = np.array(Image.open("out/overlay/top.png.jpg"), int)
    assert hatched.std() > 5  # one colour without it


def test_images_unlike_the_training_are_returned(photos):
    assert predict(photos).unfamiliar == []
    found = predict(photos, overwrite=True, model=FakeSegmentor(shift=1.5)).unfamiliar
    assert found[0] == ("a/x.jpg", 1.5) and len(found) == 4
    (photos / "a/x.jpg").write_bytes(b"no image")
    found = predict(photos)
    assert found[:2] == (0, 3) and len(found.unfamiliar) == 3 and "a/x.jpg" not in entries()


def test_leftovers_of_killed_runs_are_removed(photos):
    write_image(photos.parent / "out/labels/.film.mp4.123.tmp/000000.png")
    (photos.parent / "out/.film.mp4.123.tmp.mp4").touch()
    predict(photos)
    assert not [name for name in files() if ".tmp" in name]


def test_a_damaged_record_is_named(photos):
    (photos.parent / "out").mkdir()
    (photos.parent / "out/predictions.json").write_text("{")
    with pytest.raises(UserError, match="predictions.json: damaged"):
        predict(photos)
