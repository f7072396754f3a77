"""A segmentor loads from any source and predicts any image, alone or in lists, as in testing."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from PIL import Image

import rein
from rein import checkpoint as ckpt
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.engine import precision as precision_module
from rein.errors import UserError
from rein.models.freezing import trained_state_dict
from rein.models.pyramid import Pyramid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as on the Hugging Face Hub; test images are resized to fit 128x64."""
    torch.manual_seed(0)
    network = build(tiny_model_config())
    torch.nn.init.normal_(network.decode_head.cls_embed.weight)  # to predict several classes
    pipeline = [dict(type="LoadImageFromFile"),
                dict(type="Resize", scale=(128, 64), keep_ratio=True), dict(type="PackSegInputs")]
    cfg = Config(dict(
        model=tiny_model_config(), test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    folder = tmp_path_factory.mktemp("hub")
    meta = dict(cfg=cfg.pretty_text)
    ckpt.save_file(dict(meta=meta, state_dict=network.state_dict()), folder / "model.safetensors")
    ckpt.save_file(dict(meta=meta, state_dict=trained_state_dict(network)), folder / "adapter.pth")
    ckpt.save_file(ckpt.split(network.state_dict()).backbone, folder / "backbone.pth")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return rein.load_segmentor(folder, precision="fp32")


def street(height=70, width=100, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height)))


def same(one, other):
    return np.array_equal(one.seg_map, other.seg_map) and np.array_equal(
        one.confidence, other.confidence)


def test_a_folder_and_its_parts_load_alike(folder, model):
    parts = rein.load_segmentor(
        folder / "adapter.pth", backbone=folder / "backbone.pth", precision="fp32")
    assert same(parts.predict(street()), model.predict(street()))
    assert (model.classes, model.palette) == (CLASSES, PALETTE)
    assert "19 classes, fp32 on " in repr(model)


def test_a_repository_of_the_hub_is_a_source(folder, model, monkeypatch):
    monkeypatch.setattr(
        "rein.engine.weights.downloads.find_source",
        lambda source: str(folder / "model.safetensors"))
    assert same(rein.load_segmentor("hf:me/street", precision="fp32").predict(street()),
                model.predict(street()))


def test_prediction_equals_segment_to_the_pixel(model):
    for size in ((70, 100), (31, 57), (200, 90)):
        result = model.predict(street(*size))
        expected = rein.segment(model.model, street(*size))
        assert len(np.unique(expected)) > 1
        assert np.array_equal(result.seg_map, expected)
        assert result.seg_map.dtype == np.uint8 and result.confidence.dtype == np.float32
        assert np.array_equal(result.image, street(*size))


def test_files_arrays_tensors_and_pil_images_are_equal(tmp_path, model):
    array = street()
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera was upright
    Image.fromarray(array).save(tmp_path / "street.png", exif=turned)
    upright = np.rot90(array, -1)
    tensor = torch.from_numpy(upright.copy()).permute(2, 0, 1)
    for image in (str(tmp_path / "street.png"), tmp_path / "street.png", tensor,
                  Image.open(tmp_path / "street.png"), Image.fromarray(upright)):
        assert same(model.predict(image), model.predict(upright))
    pair = model.predict(torch.stack((tensor, tensor)))
    assert len(pair) == 2 and same(pair[1], model.predict(upright))


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_lists_of_mixed_sizes_are_predicted_in_order(model, batch_size):
    images = [street(*size, seed) for seed, size in enumerate(
        ((70, 100), (40, 40), (70, 100), (100, 70), (70, 100)))]
    found = model.predict(images, batch_size=batch_size)
    assert all(same(one, model.predict(image)) for one, image in zip(found, images, strict=True))
    assert model.predict([]) == []


def test_images_of_one_size_share_batches_of_windows(model, monkeypatch):
    batches = []
    hook = model.model.backbone.register_forward_pre_hook(
        lambda _, given: batches.append(len(given[0])))
    monkeypatch.setitem(model.model.test_cfg, "window_batch", 3)
    model.predict([street(), street(seed=1), street(40, 40)])
    hook.remove()
    assert batches == [3, 1, 1]  # two windows of each street, then one of the small image


def test_scores_are_kept_on_request_and_give_the_confidence(model):
    plain, scored = model.predict(street()), model.predict(street(), scores=True)
    assert plain.scores is None and same(plain, scored)
    assert scored.scores.shape == (19, 70, 100) and scored.scores.dtype == np.float32
    assert np.array_equal(scored.scores.argmax(0), scored.seg_map)
    np.testing.assert_allclose(
        scored.scores.max(0) / scored.scores.sum(0), scored.confidence, rtol=1e-5)


def test_the_files_temperature_calibrates_the_confidence(tmp_path, folder, model):
    content = ckpt.load_file(folder / "model.safetensors")
    content["meta"]["calibration"] = dict(temperature=3.0)
    ckpt.save_file(content, tmp_path / "model.safetensors")
    scores = model.predict(street(), scores=True).scores.astype(np.float64)**(1 / 3)
    found = rein.load_segmentor(tmp_path, precision="fp32").predict(street())
    np.testing.assert_allclose(found.confidence, scores.max(0) / scores.sum(0), rtol=1e-4)


def test_features_come_with_and_without_the_adapter(model, folder):
    refined = rein.extract_features(model, street())
    frozen = rein.extract_features(folder, street(), adapter=False, precision="fp32")
    assert isinstance(refined, Pyramid)
    assert [x.shape[-2:] for x in refined] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert refined.queries.shape == (8, 16)
    assert not torch.equal(refined.maps[0], frozen.maps[0])
    again = rein.extract_features(model, street())
    assert torch.equal(refined.maps[0], again.maps[0])


def test_a_batch_that_exceeds_the_memory_is_halved(model, monkeypatch):
    images = [street(seed=seed) for seed in range(5)]
    expected = model.predict(images)
    step, batches = model.model.test_step, []

    def limited(batch):
        batches.append(len(batch["inputs"]))
        if batches[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(batch)

    monkeypatch.setattr(model.model, "test_step", limited)
    assert all(map(same, model.predict(images), expected))
    assert batches == [4, 2, 1, 1, 2, 1, 1, 1]


def test_one_image_that_exceeds_the_memory_is_a_users_error(model, monkeypatch):
    def full(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.model, "test_step", full)
    with pytest.raises(UserError, match="no memory left for an image of 91 x 64 pixels"):
        model.predict(street())
    monkeypatch.undo()
    assert model.predict(street()).seg_map.shape == (70, 100)  # still usable


@pytest.mark.parametrize("image, message", [
    ("missing.png", "missing.png: no such image"), ("https://a.org/b.png", "no such image"),
    (torch.zeros(3, 8, 8), "uint8"), (torch.zeros(8, 8, 3, dtype=torch.uint8), "3, H, W"),
    (np.zeros((8, 8)), "expected RGB"), (Image.new("I;16", (8, 8)), "8 bits"),
    (None, "type NoneType")])
def test_what_is_not_an_image_is_reported_in_one_line(model, image, message):
    with pytest.raises(UserError, match=message) as caught:
        model.predict(image)
    with pytest.raises(UserError, match="image 2 of 2: "):
        model.predict([street(), image])
    assert "\n" not in str(caught.value)


def test_any_iterable_of_images_is_a_list_of_them(model):
    frames, memory = [street(seed=seed) for seed in range(3)], street()

    def film():
        for frame in frames:
            memory[:] = frame  # as video readers reuse their memory
            yield memory

    expected = model.predict(frames)
    assert all(map(same, model.predict(film(), batch_size=2), expected))
    assert all(map(same, model.predict(map(Image.fromarray, frames)), expected))
    assert model.predict(iter(())) == []
    with pytest.raises(UserError, match="^image 2: missing.png: no such image"):
        model.predict(name for name in (street(), "missing.png"))


@pytest.mark.parametrize("call, message", [
    (lambda model: model.predict(street(), batch_size=0), "batch_size=0; expected a whole number"),
    (lambda model: model.predict(street(), batch_size=1.5), "batch_size=1.5"),
    (lambda model: model.predict(b"street.png"), "an image of type bytes"),
    (lambda model: model.predict(street(1, 3000)), "image of 3000 x 1 pixels cannot be resized"),
    (lambda model: rein.load_segmentor(None), "source=None; expected a path"),
    (lambda model: rein.load_segmentor(123), "source=123; expected a path"),
    (lambda model: rein.load_segmentor("x.pth", config=3), "config=3; expected a path"),
    (lambda model: rein.load_segmentor("x.pth", device=1.5), "device 1.5: not available"),
    (lambda model: rein.load_segmentor("x.pth", int8="no"), "int8='no'; expected True or False"),
    (lambda model: rein.Segmentor(torch.nn.Linear(1, 1)), "Linear is no trained segmentor"),
    (lambda model: rein.segment(model, street()), "has a method `predict`")])
def test_wrong_arguments_are_named(model, call, message):
    with pytest.raises(UserError, match=message):
        call(model)


def test_the_callers_modes_change_no_prediction(model):
    expected, network = model.predict(street()), model.model
    network.train()
    kept = [module.training for module in network.modules()]
    assert same(model.predict(street()), expected)
    assert [module.training for module in network.modules()] == kept
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert same(model.predict(street()), expected)
    found = []
    threads = [threading.Thread(target=lambda: found.append(model.predict(street())))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(same(one, expected) for one in found)


def test_copied_and_pickled_segmentors_predict_alike(model):
    expected = model.predict(street())
    other = copy.deepcopy(model)
    assert same(other.predict(street()), expected)
    assert same(pickle.loads(pickle.dumps(model)).predict(street()), expected)
    other.model.to("meta")
    with pytest.raises(UserError, match="on the device 'meta'"):
        other.predict(street())


def test_sources_that_do_not_load_say_why(tmp_path, folder):
    with pytest.raises(UserError, match="has no model.safetensors"):
        rein.load_segmentor(tmp_path)
    with pytest.raises(UserError, match="nothing.pth: no such file"):
        rein.load_segmentor(tmp_path / "nothing.pth")
    with pytest.raises(UserError, match="carries no config. Pass the one"):
        rein.load_segmentor(folder / "backbone.pth")
    with pytest.raises(UserError, match="expected one of auto, fp32, bf16, fp16"):
        rein.load_segmentor(folder, precision="half")


@pytest.mark.parametrize("capabilities, expected", [
    ({}, "fp32"), (dict(avx512_f=True), "fp32"), (dict(avx512_bf16=True), "bf16"),
    (dict(amx_bf16=True), "bf16")])
def test_auto_takes_bfloat16_on_processors_that_compute_in_it(
        monkeypatch, capabilities, expected):
    monkeypatch.setattr(precision_module, "cpu_capabilities", lambda: capabilities)
    assert precision_module.choose_precision("auto", torch.device("cpu")) == expected


def test_precisions_refuse_devices_that_lack_them():
    choose = precision_module.choose_precision
    with pytest.raises(UserError, match="fp16' is for CUDA devices"):
        choose("fp16", torch.device("cpu"))
    with pytest.raises(UserError, match="does not go with int8"):
        choose("bf16", torch.device("cpu"), int8=True)
    assert choose("fp16", torch.device("cuda")) == "fp16"


@pytest.mark.parametrize("options, precision", [
    (dict(precision="bf16"), "bf16"), (dict(int8=True), "int8")])
def test_other_precisions_predict_nearly_the_same(folder, model, options, precision):
    other = rein.load_segmentor(folder, device="cpu", **options)
    assert other.precision == precision
    found, expected = (one.predict(street(), scores=True) for one in (other, model))
    assert (found.seg_map == expected.seg_map).mean() > 0.97
    assert np.abs(found.scores - expected.scores).mean() < 0.02 * expected.scores.mean()
    assert not np.array_equal(found.scores, expected.scores)
