"""tools/check_datasets.py finds problems, names them and suggests a command."""

import runpy
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from rein.datasets.check import SAMPLES, check_datasets, text_table
from rein.errors import UserError

TOOL = ROOT / "tools/check_datasets.py"


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def make_gta(root, count=3):
    for i in range(count):
        write(root / f"gta/images/{i}.png", np.zeros((4, 6, 3)))
        write(root / f"gta/labels/{i}.png", np.full((4, 6), 7))
        write(root / f"gta/labels/{i}_labelTrainIds.png", [[0, 18, 255, 1, 2, 3]] * 4)


def problems(root, **kwargs):
    kwargs = dict(any_count=True, workers=1) | kwargs
    return [p for report in check_datasets(root, **kwargs) for p in report.problems]


def test_intact_dataset_has_no_problem_except_its_image_count(tmp_path):
    make_gta(tmp_path)
    assert problems(tmp_path) == []
    assert problems(tmp_path, any_count=False) == ["3 images, but 24966 were published"]


def test_missing_conversion_is_reported_with_its_command(tmp_path):
    write(tmp_path / "gta/images/00.png", np.zeros((4, 6, 3)))
    assert "1 image without label (00)" in problems(tmp_path)[0]  # GTA may lack ten, not all
    for i in range(11):
        write(tmp_path / f"gta/images/{i:02}.png", np.zeros((4, 6, 3)))
        write(tmp_path / f"gta/labels/{i:02}.png", np.zeros((4, 6)))
    found, = problems(tmp_path)
    assert found == ("11 images without label (00, 01, 02, ...). "
                     f"Run `python tools/convert_datasets/gta.py {tmp_path}/gta`.")


def test_unhalved_mapillary_is_reported_with_its_command(tmp_path):
    write(tmp_path / "mapillary/validation/images/a.jpg", np.zeros((4, 6, 3)))
    write(tmp_path / "mapillary/cityscapes_trainIdLabel/val/label/a.png", np.zeros((4, 6)))
    found, = problems(tmp_path)
    assert "half/val_img has not been created yet" in found and "mapillary_resize.py" in found


@pytest.mark.parametrize("name, pixels, message", [
    ("images/1.png", None, "images/1.png does not decode"),
    ("labels/1_labelTrainIds.png", None, "1_labelTrainIds.png does not decode"),
    ("labels/1_labelTrainIds.png", np.full((4, 6), 33), "contains 33, expected 0-18 and 255"),
    ("labels/1_labelTrainIds.png", np.zeros((6, 4)), "is 4x6, but its image is 6x4"),
    ("labels/1_labelTrainIds.png", np.zeros((4, 6, 3)), "has mode RGB"),
])
def test_broken_file_is_named(tmp_path, name, pixels, message):
    make_gta(tmp_path)
    path = tmp_path / "gta" / name
    if pixels is None:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        write(path, pixels)
    found, = problems(tmp_path)
    assert message in found


def test_label_without_image_is_named(tmp_path):
    make_gta(tmp_path)
    (tmp_path / "gta/images/2.png").unlink()
    found, = problems(tmp_path)
    assert found.startswith("1 label without image (2)")


def test_a_photo_that_exif_turns_has_the_size_it_is_loaded_with(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    make_gta(tmp_path)
    Image.new("RGB", (4, 6)).save(tmp_path / "gta/images/1.png", exif=exif)
    assert problems(tmp_path) == []


def test_dataset_in_another_layout_is_reported_with_the_expected_folder(tmp_path):
    (tmp_path / "cityscapes/train").mkdir(parents=True)
    found, = problems(tmp_path)
    assert "cityscapes/leftImg8bit/train: no images" in found
    assert "https://www.cityscapes-dataset.com" in found


def test_fast_check_opens_a_few_pairs_but_counts_all(tmp_path):
    make_gta(tmp_path, count=SAMPLES + 5)
    report, = check_datasets(tmp_path, fast=True, any_count=True, workers=1)
    assert (report.opened, report.images, report.labels) == (SAMPLES, SAMPLES + 5, SAMPLES + 5)


def test_many_problems_in_one_part_stay_readable(tmp_path):
    make_gta(tmp_path, count=9)
    for path in (tmp_path / "gta/images").iterdir():
        path.write_bytes(b"")
    text = text_table(check_datasets(tmp_path, any_count=True, workers=1))
    assert "9 wrong" in text and "train_gta: 6 more problems" in text


def test_folder_without_datasets_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no dataset found"):
        check_datasets(tmp_path)


def test_command_prints_a_table_and_returns_an_exit_code(tmp_path, monkeypatch, capsys):
    make_gta(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["check_datasets", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name="__main__")
        return end.value.code

    assert run(tmp_path, "--any-count", "--workers", 2) == 0
    printed = capsys.readouterr().out
    assert "train_gta" in printed and printed.endswith(f"1 dataset in {tmp_path}: 0 problems\n")
    assert run(tmp_path, "--fast") == 1
    assert "24966 were published" in capsys.readouterr().out
    assert run("nowhere") == 1
    assert capsys.readouterr().err.startswith("error: nowhere: no dataset found")


def test_help_answers_within_a_second():
    start = time.perf_counter()
    subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, check=True)
    assert time.perf_counter() - start < 1
