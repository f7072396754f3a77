"""Submission zips: valid ones pass, and each violated rule is reported."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID
from rein.errors import UserError
from rein.evaluation import submission
from rein.evaluation.submission import SERVERS, check_submission, make_submission

SIZE = (24, 16)
NAMES = {
    "acdc": ["GOPR0475_frame_000041_rgb_anon", "GP010476_frame_000012_rgb_anon"],
    "cityscapes": ["berlin_000000_000019_leftImg8bit", "munich_000398_000019_leftImg8bit"],
}


@pytest.fixture(params=["acdc", "cityscapes"])
def server(request, monkeypatch):
    """Return a server with two small test images; its other rules are unchanged."""
    rules = SERVERS[request.param]._replace(images=2, size=SIZE)
    monkeypatch.setitem(submission.SERVERS, request.param, rules)
    return request.param


@pytest.fixture
def packed(server, tmp_path):
    paths = []
    for i, name in enumerate(NAMES[server]):
        train_ids = (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[::-1]) + i) % 19
        paths.append(tmp_path / "predictions" / str(i) / f"{name}.png")
        paths[-1].parent.mkdir(parents=True)
        Image.fromarray(train_ids.astype(np.uint8)).save(paths[-1])
    return make_submission(paths, server, tmp_path / "new/submission.zip")


def rewrite(path, change):
    """Rewrite the zip, replacing its first file with the files `change(name, content)` returns."""
    with zipfile.ZipFile(path) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for i, (name, content) in enumerate(files):
            for new_name, new_content in change(name, content) if i == 0 else [(name, content)]:
                archive.writestr(new_name, new_content)


def png(array):
    content = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_rules_match_the_servers():
    assert (SERVERS["acdc"].images, SERVERS["acdc"].size) == (2000, (1920, 1080))
    assert (SERVERS["cityscapes"].images, SERVERS["cityscapes"].size) == (1525, (2048, 1024))
    assert SERVERS["acdc"].values == {*range(19)}
    assert SERVERS["cityscapes"].values == {*CITYSCAPES_ID_TO_TRAIN_ID}


def test_packed_zip_passes_and_holds_the_servers_values(packed, server):
    assert check_submission(packed, server, NAMES[server]) == []
    folder = "labelTrainIds/" if server == "acdc" else ""
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == sorted(f"{folder}{n}.png" for n in NAMES[server])
        first = Image.open(io.BytesIO(archive.read(f"{folder}{NAMES[server][0]}.png")))
    row = np.asarray(first)[0, :19].tolist()
    assert row == ([*range(19)] if server == "acdc" else [
        7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    assert first.mode == "L" and first.size == SIZE
    assert [path.name for path in packed.parent.iterdir()] == ["submission.zip"]


@pytest.mark.parametrize("change, message", [
    (lambda name, content: [], "1 predictions; .* has 2 test images"),
    (lambda name, content: [], "no prediction for an image"),
    (lambda name, content: [(name, content), (name.replace(".png", "_b.png"), content)],
     "3 predictions"),
    (lambda name, content: [(name.replace("0000", "00"), content)], "name is not of the form"),
    (lambda name, content: [(name.replace("00001", "00005").replace("00004", "00006"), content)],
     "prediction without a test image"),
    (lambda name, content: [(f"x/{name}", png(np.zeros(SIZE)))], "size 16x24, not 24x16"),
    (lambda name, content: [(name, png(np.zeros((*SIZE[::-1], 3))))], "PNG of mode RGB"),
    (lambda name, content: [(name, png(np.full(SIZE[::-1], 255)))], "values 255 are not classes"),
    (lambda name, content: [(name, content[:40])], "cannot be decoded"),
])
def test_each_violated_rule_is_reported(packed, server, change, message):
    rewrite(packed, change)
    import re
    problems = check_submission(packed, server, NAMES[server])
    assert any(re.search(message, problem) for problem in problems), problems


def test_the_other_servers_zip_is_rejected(packed, server, monkeypatch):
    other = "cityscapes" if server == "acdc" else "acdc"
    monkeypatch.setitem(
        submission.SERVERS, other, SERVERS[other]._replace(images=2, size=SIZE))
    assert check_submission(packed, other)


def test_two_predictions_for_one_cityscapes_frame_are_reported(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for suffix in ("", "_leftImg8bit"):
            archive.writestr(f"bonn_000000_000019{suffix}.png", png(np.full((1024, 2048), 7)))
    problems = check_submission(tmp_path / "a.zip", "cityscapes")
    assert any(problem.startswith("more than one prediction") for problem in problems)


def test_invalid_predictions_raise_and_leave_no_zip(tmp_path):
    rgb, wide = tmp_path / "rgb.png", tmp_path / "wide.png"
    rgb.write_bytes(png(np.zeros((4, 4, 3))))
    wide.write_bytes(png(np.full((4, 4), 200)))
    for files, message in (([], "no predictions"), ([rgb], "one channel of trainIds"),
                           ([wide], "trainIds 0-18"),
                           ([rgb, rgb], "2 predictions have this name")):
        with pytest.raises(UserError, match=message):
            make_submission(files, "acdc", tmp_path / "out.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"rgb.png", "wide.png"}
    with pytest.raises(UserError, match="not a zip"):
        check_submission(rgb, "acdc")


def test_images_whose_header_claims_too_much_and_zip_bombs_are_named(packed, server, monkeypatch):
    header = bytearray(zipfile.ZipFile(packed).read(zipfile.ZipFile(packed).namelist()[0]))
    header[16:24] = b"\x7f\xff\xff\xff" * 2  # width and height
    rewrite(packed, lambda name, content: [(name, bytes(header))])
    assert any("cannot be decoded" in problem for problem in check_submission(packed, server))
    monkeypatch.setattr(submission, "MAX_BYTES", 2**20)
    rewrite(packed, lambda name, content: [(name, bytes(2**20 + 1))])
    assert any("more than 1 MB" in problem for problem in check_submission(packed, server))
