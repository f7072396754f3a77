"""IoU per domain equals mmseg's, uses metadata for domains, and works across processes."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from PIL import Image

from rein.datasets.image_folders import ImageFolders
from rein.datasets.label_maps import (
    CITYSCAPES_ID_TO_TRAIN_ID,
    CLASSES,
    PALETTE,
    lookup_table,
)
from rein.errors import UserError
from rein.evaluation.domain_iou import DGIoUMetric, confusion_matrix
from toy.streets.make import make_sample

PUBLISHED = dict(type="DGIoUMetric", iou_metrics=["mIoU"], dataset_keys=["citys", "map", "bdd"])


def sample(prediction, truth, domain="citys", path="a.png"):
    data = SegDataSample(
        pred_sem_seg=PixelData(data=torch.as_tensor(prediction)[None]),
        gt_sem_seg=PixelData(data=torch.as_tensor(truth)[None]))
    data.set_metainfo(dict(img_path=path, seg_map_path=path))
    if domain:
        data.set_metainfo(dict(domain=domain))
    return data


def random_samples(domain, count, seed, classes=19, ignore=0.2):
    """Yield samples with absent classes and ignored pixels."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        truth = rng.integers(0, classes, (40 + i, 60))
        prediction = np.where(rng.random(truth.shape) < 0.6, truth, rng.permuted(truth))
        truth[rng.random(truth.shape) < ignore] = 255
        yield sample(prediction, truth, domain)


def evaluate(metric, samples, batch=1, classes=CLASSES):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(classes=classes, palette=PALETTE)
    failed = sum(len(part.results) for part in evaluator.metrics)
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start:start + batch])
    return evaluator.evaluate(failed + len(samples))


@pytest.mark.parametrize("batch, classes", [(1, 19), (3, 19), (2, 11)])
def test_equals_mmsegs_metric_in_each_domain(batch, classes):
    data = {name: [*random_samples(name, 5, seed, classes)]
            for seed, name in enumerate(["citys", "map", "bdd"])}
    everything = [one for trio in zip(*data.values(), strict=True) for one in trio]
    metrics = evaluate(METRICS.build(PUBLISHED), everything, batch)
    for name, samples in data.items():
        theirs = evaluate(IoUMetric(), samples, batch)
        ours = {key: metrics[f"{name}_{key}"] for key in theirs}
        assert ours == pytest.approx({k: float(v) for k, v in theirs.items()}, abs=1e-5)
    means = [metrics[f"{name}_mIoU"] for name in data]
    assert metrics["mean_mIoU"] == pytest.approx(np.mean(means), abs=0.01)


def street():
    """Return a shifted prediction and a street's labels, with ignored pixels and absent classes."""
    ids = make_sample("cityscapes", "val", 0, seed=3).scene.labels
    truth = torch.from_numpy(lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)[ids].astype(np.int64))
    assert 255 in truth and len(truth.unique()) < 19
    return truth.roll((3, 5), (0, 1)) % 19, truth


def noise():
    one = next(random_samples("citys", 1, seed=5, classes=17))
    return one.pred_sem_seg.data[0], one.gt_sem_seg.data[0]


@pytest.mark.parametrize("make", [noise, street])
def test_areas_equal_mmsegs_exactly(make):
    prediction, truth = make()
    counts = confusion_matrix(prediction, truth, 19)
    intersect, union, predicted, labelled = IoUMetric.intersect_and_union(
        prediction, truth, 19, 255)
    assert np.array_equal(np.diag(counts), intersect)
    assert np.array_equal(counts.sum(0), predicted)
    assert np.array_equal(counts.sum(1), labelled)
    assert np.array_equal(counts.sum(0) + counts.sum(1) - np.diag(counts), union)


def test_absent_classes_do_not_count_and_false_ones_do():
    truth = np.zeros((4, 4), int)
    truth[0] = 255
    prediction = np.zeros((4, 4), int)
    prediction[0], prediction[1] = 5, 1  # row 0 is ignored
    metric = DGIoUMetric()
    metrics = evaluate(metric, [sample(prediction, truth)])
    iou = metric.results_table.iou[0]
    assert iou[:2] == pytest.approx([100 * 8 / 12, 0]) and np.isnan(iou[2:]).all()
    assert metrics["citys_mIoU"] == round(100 * 8 / 12 / 2, 2)
    assert metrics["citys_mAcc"] == metrics["citys_aAcc"] == round(100 * 8 / 12, 2)


def test_wholly_ignored_domain_is_nan_without_warnings(recwarn):
    metrics = evaluate(DGIoUMetric(), [sample(np.zeros((4, 4), int), np.full((4, 4), 255))])
    assert np.isnan(metrics["citys_mIoU"]) and np.isnan(metrics["mean_mIoU"])
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_domain_comes_from_metadata_not_directory_names():
    right, wrong = np.zeros((4, 4), int), np.ones((4, 4), int)
    samples = [sample(right, right, "bdd", "/data/acdc/citys/map/a.png"),
               sample(wrong, right, "citys", "/data/bdd/a.png")]
    metrics = evaluate(DGIoUMetric(dataset_keys=["citys", "bdd"]), samples)
    assert metrics["bdd_mIoU"] == 100 and metrics["citys_mIoU"] == 0
    assert metrics["mean_mIoU"] == 50


def test_dataset_keys_select_and_order_domains():
    samples = [one for name in ("gta", "map", "citys") for one in random_samples(name, 1, 3)]
    metric = DGIoUMetric(dataset_keys=["citys", "map", "bdd"])
    metrics = evaluate(metric, samples)
    assert metric.results_table.domains == ("citys", "map")
    assert not any(key.startswith(("gta", "bdd")) for key in metrics)
    evaluate(metric := DGIoUMetric(), samples)
    assert metric.results_table.domains == ("gta", "map", "citys")


def test_mean_is_over_the_mean_used_keys():
    right, wrong = np.zeros((4, 4), int), np.ones((4, 4), int)
    samples = [sample(right, right, "bdd"), sample(wrong, right, "citys")]
    metric = DGIoUMetric(dataset_keys=["citys", "bdd"], mean_used_keys=["bdd"])
    assert evaluate(metric, samples)["mean_mIoU"] == 100
    with pytest.raises(UserError, match="mean_used_keys"):
        DGIoUMetric(dataset_keys=["citys"], mean_used_keys=["bdd"])


def test_error_lists_domains_if_none_is_in_dataset_keys():
    with pytest.raises(UserError, match=r"\['toy'\].*\['citys', 'map', 'bdd'\]"):
        evaluate(METRICS.build(PUBLISHED), [*random_samples("toy", 1, 0)])


def test_sample_without_domain_raises():
    with pytest.raises(UserError, match="a.png: the sample has no domain"):
        evaluate(DGIoUMetric(), [*random_samples(None, 1, 0)])


@pytest.mark.parametrize("prediction, truth, message", [
    (np.zeros((4, 4), int), np.zeros((8, 4), int), r"a.png: .*\(4, 4\).*\(8, 4\)"),
    (np.zeros((4, 4), int), np.full((4, 4), 19), "label values 19,"),
    (np.zeros((4, 4), int), np.full((4, 4), 300), "label values 300,"),
    (np.full((4, 4), 19), np.zeros((4, 4), int), "class 19 predicted"),
])
def test_wrong_sizes_and_values_raise(prediction, truth, message):
    with pytest.raises(UserError, match=message):
        evaluate(DGIoUMetric(), [sample(prediction, truth)])


def test_other_measures_raise():
    with pytest.raises(UserError, match="mDice"):
        DGIoUMetric(iou_metrics=["mDice"])


def test_any_number_of_classes_works():
    truth = np.array([[0, 1], [1, 255]])
    samples = [sample(truth % 2, truth, "yard")]
    metrics = evaluate(DGIoUMetric(), samples, classes=("ground", "wall"))
    assert metrics["yard_mIoU"] == metrics["mean_mIoU"] == 100


def test_each_image_keeps_its_confusion_and_failures_are_excluded():
    samples = [*random_samples("citys", 3, 1), *random_samples("bdd", 2, 2)]
    whole = evaluate(metric := DGIoUMetric(), samples)
    assert [image.domain for image in metric.images] == ["citys"] * 3 + ["bdd"] * 2
    sums = [sum(image.confusion for image in metric.images if image.domain == name)
            for name in ("citys", "bdd")]
    assert np.array_equal(metric.results_table.confusion, sums)
    broken = DGIoUMetric()
    broken.fail("citys", "x/b.png", "x/b.png: the image does not decode.")
    assert evaluate(broken, samples) == whole
    assert [image.error for image in broken.images if image.error] == [
        "x/b.png: the image does not decode."]


def test_error_names_the_first_image_if_all_failed():
    metric = DGIoUMetric()
    metric.fail("citys", "a.png", "a.png: the image does not decode.")
    with pytest.raises(UserError, match="no image could be read: 1 failed.*a.png"):
        evaluate(metric, [])


def test_only_the_best_and_worst_images_keep_pictures(monkeypatch):
    monkeypatch.setattr("rein.evaluation.domain_iou.example_strip", lambda path, *_: path.encode())
    truth = np.zeros((10, 10), int)
    samples = []
    for wrong in (50, 10, 40, 0, 30, 20, 60):  # percent of the pixels
        prediction = truth.copy()
        prediction.flat[:wrong] = 1
        samples.append(sample(prediction, truth, path=f"{wrong}.png"))
    evaluate(metric := DGIoUMetric(examples=2), samples)
    assert {image.path for image in metric.images if image.strip} == {
        "0.png", "10.png", "50.png", "60.png"}
    evaluate(metric := DGIoUMetric(), samples)
    assert not any(image.strip for image in metric.images)


def test_second_evaluation_starts_fresh():
    metric = DGIoUMetric()
    first = evaluate(metric, [*random_samples("citys", 2, 1)])
    evaluate(metric, [*random_samples("bdd", 2, 2)])
    assert evaluate(metric, [*random_samples("citys", 2, 1)]) == first


def test_predictions_are_written_as_train_ids_without_labels(tmp_path):
    one = SegDataSample(pred_sem_seg=PixelData(data=torch.full((1, 4, 6), 13)))
    one.set_metainfo(dict(img_path="x/frame.jpg", domain="acdc_night"))
    metric = DGIoUMetric(format_only=True, output_dir=str(tmp_path))
    assert evaluate(metric, [one]) == {}
    with pytest.raises(UserError, match=r"frame\.jpg: no label.*format_only"):
        evaluate(DGIoUMetric(), [one])
    written = np.array(Image.open(tmp_path / "acdc_night/frame.png"))
    assert written.shape == (4, 6) and (written == 13).all()


def test_predictions_and_results_keep_the_tree(tmp_path):
    metric = DGIoUMetric(output_dir=str(tmp_path))
    metric.folders = {"citys": ImageFolders("/data", "/data/val")}
    metric.fail("citys", "/data/val/c/1.png", "/data/val/c/1.png: the image does not decode.")
    truth = np.zeros((4, 4), int)
    evaluate(metric, [sample(truth + i, truth, path=f"/data/val/{name}/1.png")
                      for i, name in enumerate("ab")])
    for i, name in enumerate("ab"):
        assert (np.array(Image.open(tmp_path / f"citys/{name}/1.png")) == i).all()
    assert [(image.folder, image.name) for image in metric.images] == [
        ("val", "c/1.png"), ("val", "a/1.png"), ("val", "b/1.png")]


def _one_process(rank, world, out):
    torch.distributed.init_process_group("gloo", f"file://{out}/meet", rank=rank, world_size=world)
    samples = five_samples()
    own = [samples[i % 5] for i in range(rank, 6, world)]  # 5 padded to 6 with the first sample
    metric = DGIoUMetric(dataset_keys=["citys", "bdd"])
    metric.dataset_meta = dict(classes=CLASSES)
    for one in own:
        metric.process({}, [one.to_dict()])
    result = metric.evaluate(5)
    (out / f"{rank}.json").write_text(json.dumps(result))


def five_samples():
    """Return an odd number of samples, so that two processes need padding."""
    return [*random_samples("citys", 3, 1), *random_samples("bdd", 2, 2)]


def test_two_processes_equal_one(tmp_path):
    torch.multiprocessing.start_processes(
        _one_process, (2, tmp_path), nprocs=2, start_method="fork")
    alone = evaluate(DGIoUMetric(dataset_keys=["citys", "bdd"]), five_samples())
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == alone
