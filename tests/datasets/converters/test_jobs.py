"""The run shared by all converters: naming, skipping, redoing and stopping."""

import errno
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from label_files import make_gta, save_palette
from PIL import Image

from rein.datasets.converters import jobs as jobs_module
from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.jobs import Job, Report, run_jobs, summarize
from rein.datasets.converters.mapillary import halve_mapillary
from rein.errors import UserError


def test_second_run_skips_finished_files(tmp_path):
    make_gta(tmp_path)
    convert_gta(tmp_path, workers=1)
    target = tmp_path / "labels/00001_labelTrainIds.png"
    written = target.stat().st_mtime_ns
    assert convert_gta(tmp_path, workers=1) == Report(0, 3, ())
    assert target.stat().st_mtime_ns == written
    assert convert_gta(tmp_path, workers=1, overwrite=True) == Report(3, 0, ())


@pytest.mark.parametrize("keep", [0, 30, -1, -12])
def test_truncated_output_is_redone(tmp_path, keep):
    make_gta(tmp_path)
    convert_gta(tmp_path, workers=1)
    target = tmp_path / "labels/00001_labelTrainIds.png"
    whole = target.read_bytes()
    target.write_bytes(whole[:keep])
    assert convert_gta(tmp_path, workers=1) == Report(1, 2, ())
    assert target.read_bytes() == whole


def test_corrupt_output_is_redone(tmp_path):
    make_gta(tmp_path, count=1)
    convert_gta(tmp_path, workers=1)
    target = tmp_path / "labels/00000_labelTrainIds.png"
    whole = target.read_bytes()
    target.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    assert convert_gta(tmp_path, workers=1) == Report(1, 0, ())
    assert target.read_bytes() == whole


def test_truncated_jpeg_is_redone(tmp_path):
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "images/a.jpg")
    save_palette(tmp_path / "labels/a.png", np.zeros((64, 64), np.uint8))
    folders = [tmp_path / name for name in ("images", "labels", "i", "l")]
    halve_mapillary(*folders, workers=1)
    whole = (folders[2] / "a.jpg").read_bytes()
    (folders[2] / "a.jpg").write_bytes(whole[: len(whole) // 2])
    assert halve_mapillary(*folders, workers=1) == Report(1, 0, ())
    assert (folders[2] / "a.jpg").read_bytes() == whole


def test_output_older_than_its_source_is_redone(tmp_path):
    labels = make_gta(tmp_path)
    convert_gta(tmp_path, workers=1)
    later = labels[2].stat().st_mtime + 60
    os.utime(labels[2], (later, later))
    assert convert_gta(tmp_path, workers=1) == Report(1, 2, ())


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_files_are_named_and_the_rest_is_converted(tmp_path, capfd, workers):
    labels = make_gta(tmp_path, count=20)
    labels[3].write_bytes(labels[3].read_bytes()[:-40])
    labels[4].write_bytes(b"")
    labels[5].write_text("not an image")
    Image.new("RGB", (4, 4)).save(labels[6])
    report = convert_gta(tmp_path, workers=workers)
    assert report.converted == 16
    assert [source for source, _ in report.failed] == labels[3:7]
    assert all(reason for _, reason in report.failed)
    assert summarize(report, "labels") == 1
    printed = capfd.readouterr()
    assert all(f"failed: {label}: " in printed.err for label in labels[3:7])
    assert "Converting" in printed.err and "file/s" in printed.err
    assert "2 x not an image" in printed.err
    assert "16 labels; road 0.39 %" in printed.out and "ignored: 93 %" in printed.out
    assert f"\n16 converted, 0 skipped, 4 failed ({labels[3]}" in printed.out
    names = {path.name for path in (tmp_path / "labels").iterdir()}
    assert len(names) == 20 + 16 + 1  # labels, converted labels, statistics
    assert not any(name.endswith(".tmp") for name in names)


def test_summary_of_many_failures_stays_short(capsys):
    failed = tuple((Path(f"{i}.png"), "broken") for i in range(1000))
    assert summarize(Report(1, 2, failed), "data/labels") == 1
    line = capsys.readouterr().out
    assert line.startswith("1 converted, 2 skipped, 1000 failed (0.png") and len(line) < 200
    assert summarize(Report(3, 0, ()), "data/labels") == 0
    assert capsys.readouterr().out == "3 converted, 0 skipped, 0 failed: data/labels\n"


def _fail(sources, error):
    raise error


@pytest.mark.parametrize("error, kept", [
    (ValueError("not a label"), False), (FileNotFoundError(errno.ENOENT, "gone"), False),
    (OSError(errno.EIO, "Input/output error"), True), (MemoryError(), True)])
def test_only_an_unfit_source_costs_the_old_output(tmp_path, error, kept):
    (tmp_path / "out.png").write_bytes(b"old")
    jobs = [Job((tmp_path,), (tmp_path / "out.png",))]
    report = run_jobs(jobs, partial(_fail, error=error), workers=1, overwrite=True)
    assert len(report.failed) == 1 and (tmp_path / "out.png").exists() == kept


def test_a_full_disk_ends_the_run_in_one_line(tmp_path, monkeypatch, capfd):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    make_gta(tmp_path, count=9)
    monkeypatch.setattr(jobs_module, "write_atomically", full)
    with pytest.raises(UserError, match="labels: cannot be written .No space.*Finished files are"):
        convert_gta(tmp_path, workers=2)
    assert "failed" not in capfd.readouterr().err


def _interrupt(sources):
    raise KeyboardInterrupt


def test_interrupt_ends_the_run(tmp_path):
    jobs = [Job((tmp_path,), (tmp_path / "out.png",))]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, _interrupt, workers=1)
    assert not list(tmp_path.iterdir())


def test_zero_workers_are_rejected(tmp_path):
    make_gta(tmp_path)
    with pytest.raises(UserError, match="0 workers"):
        convert_gta(tmp_path, workers=0)
