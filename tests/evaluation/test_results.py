"""Result files have full precision and are read back as written."""

import json

import numpy as np
import pytest
from some_results import FAILED, RECORD, some_images, table_of

from rein.errors import UserError
from rein.evaluation.result_files import load_run, save_results
from rein.evaluation.results import ImageResult, image_miou, image_names


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


@pytest.mark.parametrize("name, damage", [
    ("results.npz", lambda old: old[:-40]), ("results.npz", lambda old: b""),
    ("results.npz", lambda old: b"PK\x03\x04" + old[4:30]), ("results.npz", lambda old: b"no zip"),
    ("results.npz", lambda old: old.replace(b"domains", b"dOmains")),
    ("results.npz", lambda old: old[:200] + bytes(100) + old[300:]),
    ("results.json", lambda old: old[:300]), ("results.json", lambda old: b""),
    ("results.json", lambda old: b"[1]"), ("results.json", lambda old: b"\xff\xfe{}"),
    ("results.json", lambda old: b"[" * 100_000),
    ("results.json", lambda old: old.replace(b'"mean_domains"', b'"means"')),
    ("results.json", lambda old: old.replace(b'"IoU"', b'"iou"')),
    ("results.json", lambda old: old.replace(b'"failed": [', b'"failed": [3, ')),
    ("results.json", lambda old: old.replace(b'"road"', b'"street", "x": 1, "y"')),
])
@pytest.mark.parametrize("hashed", [True, False])  # older results have no hash
def test_damaged_results_raise_one_line(written, name, damage, hashed):
    if not hashed:
        content = json.loads((written / "results.json").read_text())
        del content["images"]["sha256"]
        (written / "results.json").write_text(json.dumps(content))
    path = written / name
    path.write_bytes(damage(path.read_bytes()))
    try:
        load_run(written)
    except UserError as error:
        assert str(written) in str(error) and "Test again" in str(error)
        assert "\n" not in str(error)
    else:
        assert b"street" in path.read_bytes()  # another class name is no damage


def test_files_of_two_tests_are_not_one_run(written, tmp_path):
    images = some_images()[:3]
    save_results(tmp_path / "other", table_of(images), images, RECORD)
    (tmp_path / "other/results.npz").replace(written / "results.npz")
    with pytest.raises(UserError, match="results.npz: damaged, or not of the same test"):
        load_run(written)
    assert load_run(written, whole=False).record == RECORD


def test_runs_sum_to_the_results_of_the_test(written):
    results, table = load_run(written).results(), table_of(some_images())
    assert (results.domains, results.classes, results.mean_domains, results.protocol) == (
        table.domains, table.classes, table.mean_domains, table.protocol)
    assert np.array_equal(results.confusion, table.confusion)


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
