"""What surrounds a test: broken files, results that are in the way, what it was run with."""

import dataclasses

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.structures import SegDataSample
from PIL import Image
from rein.engine.testing.loop import FailedSample, SurvivingDataset, collate_surviving

from rein.datasets.loading import CorruptFile
from rein.engine.config import load_config
from rein.engine.testing.evaluate import check_free
from rein.engine.testing.record import config_name, training_curves, versions
from rein.errors import UserError
from rein.evaluation.results import DomainResults, ImageResult, RunRecord, save_results

TOY = "configs/toy/rein_toy_vit_mask2former_256x256.py"
RECORD = RunRecord("a.pth", "12" * 32, "tiny", "rein", {"citys": "1024x512"}, "whole")


def results(folder, record=RECORD):
    counts = np.eye(2, dtype=np.int64)
    table = DomainResults(("citys",), ("a", "b"), counts[None], ("citys",), "rein")
    save_results(folder, table, [ImageResult("citys", "1.png", counts)], record)


def test_results_of_the_same_test_may_be_replaced_and_others_not(tmp_path):
    check_free(tmp_path / "empty", RECORD)
    results(tmp_path)
    check_free(tmp_path, dataclasses.replace(RECORD, date="later", checkpoint="moved.pth"))
    for change in (dict(digest="34" * 32), dict(protocol="full"), dict(inference="slide"),
                   dict(sizes={"citys": "2048x1024"})):
        with pytest.raises(UserError, match=f"another test.*{[*change][0]} is.*--force"):
            check_free(tmp_path, dataclasses.replace(RECORD, **change))
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="--force"):
        check_free(tmp_path, RECORD)


class _Files:
    metainfo = dict(classes=("a", "b"))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index == 1:
            raise CorruptFile("b.png: does not decode.", "citys", "b.png")
        return dict(inputs=index, data_samples=SegDataSample())


def test_a_batch_parts_with_what_failed(monkeypatch):
    monkeypatch.setattr("rein.engine.testing.loop.build_dataset", lambda cfg: _Files())
    dataset = SurvivingDataset({})
    assert len(dataset) == 2 and dataset.metainfo is _Files.metainfo
    failed = FailedSample("citys", "b.png", "b.png: does not decode.")
    batch = collate_surviving([dataset[0], dataset[1]])
    assert batch["inputs"] == [0] and len(batch["data_samples"]) == 1
    assert batch["failed"] == [failed]
    assert collate_surviving([dataset[1]]) == dict(failed=[failed])


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_files_cut_short_fail_even_where_decoders_take_them(tmp_path, kind):
    for part in ("image", "label"):
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"image/{i}.{kind}")
        Image.fromarray(pixels[..., 0] % 19).save(tmp_path / f"label/{i}.png")
    for path in (f"image/1.{kind}", "label/2.png"):
        content = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content[:len(content) * 2 // 3])
    image = (tmp_path / f"image/0.{kind}").read_bytes()
    (tmp_path / f"image/0.{kind}").write_bytes(image + b"appended by a camera")
    dataset = SurvivingDataset(dict(
        type="UrbanSceneDataset", domain="yard", data_root=str(tmp_path), img_suffix=f".{kind}",
        seg_map_suffix=".png", data_prefix=dict(img_path="image", seg_map_path="label"),
        pipeline=[dict(type="LoadImageFromFile"), dict(type="mmseg.LoadAnnotations"),
                  dict(type="mmseg.PackSegInputs")]))
    assert kind == "png" or cv2.imread(str(tmp_path / "image/1.jpg")) is not None
    assert not isinstance(dataset[0], FailedSample)
    for i, path in ((1, f"image/1.{kind}"), (2, "label/2.png")):
        assert dataset[i].domain == "yard" and dataset[i].path.endswith(f"image/{i}.{kind}")
        assert path in dataset[i].error


def test_errors_of_workers_stay_one_line():
    text = 'Caught CorruptFile in worker.\nTraceback: ...\nrein.CorruptFile: x.png: no such file.'
    assert str(CorruptFile(text)) == "x.png: no such file."


def test_a_carried_config_is_named_after_its_run():
    meta = dict(experiment_name="rein_tiny_20260102_030405")
    assert config_name(Config(dict(a=1)), meta) == "rein_tiny"
    assert config_name(load_config(TOY), meta) == "rein_toy_vit_mask2former_256x256"
    assert config_name(Config(dict(a=1)), {}) == "carried by the checkpoint"


def test_curves_are_found_in_the_work_dir_of_the_run_and_of_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run, stamp, loss in (("mine", "20260101_000000", 3), ("mine", "20260102_000000", 2),
                             ("mine", "20260103_000000", 1), ("other", "20260102_000001", 9)):
        folder = tmp_path / run / stamp / "vis_data"
        folder.mkdir(parents=True)
        (folder / "scalars.json").write_text(f'{{"loss": {loss}, "step": {loss}}}\n')
    meta = dict(experiment_name="tiny_20260102_000000", cfg="work_dir = 'mine'")
    assert training_curves(dict(meta=meta), "mine/iter_2.pth") == {"loss": [(2, 2.0), (3, 3.0)]}
    assert training_curves(dict(meta=meta), "merged.pth") == {"loss": [(2, 2.0), (3, 3.0)]}
    assert training_curves(dict(meta={}), "mine/iter_2.pth") == {}
    assert training_curves({}, "published.pth") == {}


def test_versions_name_every_library_of_the_stack():
    assert {"rein", "python", "torch", "timm", "mmengine", "mmcv", "mmseg", "mmdet"} <= {
        name for name, version in versions().items() if version not in ("", "unknown")}
