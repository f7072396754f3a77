"""Result files have full precision and are read back as written."""

import json

import numpy as np
import pytest
from some_results import FAILED, RECORD, some_images, table_of

from rein.errors import UserError
from rein.evaluation.results import ImageResult, image_miou, image_names, load_run, save_results


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
