"""Several processes: equal to one, and ended together."""

import json
import re

import pytest
import torch
from conftest import tiny_model_config
from processes import in_processes
from tiny_project import evaluate, losses_of_training, write_project


def full_fine_tuning(root) -> dict:
    """Return the config of a backbone that trains wholly, with a plain Mask2Former head."""
    model = tiny_model_config()
    model.backbone.update(type="DinoVisionTransformer", init_cfg=dict(
        type="Pretrained", checkpoint=str(root / "backbone.pth")))
    model.backbone.pop("reins_config")
    model.decode_head.update(linked_queries=False, replace_query_feat=False)
    return model


def test_losses_of_two_processes_equal_those_of_one(tmp_path):
    """With equal loss points and without the class loss's weights, which differ by process."""
    cfg = write_project(tmp_path)
    cfg.model.decode_head.loss_cls.class_weight = [1.0] * 20
    cfg.train_dataloader.batch_size = 2
    alone = losses_of_training(cfg, tmp_path / "one")
    cfg.train_dataloader.batch_size = 1
    cfg.visualizer.name = "two"
    both = in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "two", "pytorch")
    assert len(alone) == 4
    torch.testing.assert_close(
        torch.tensor(both).mean(0), torch.tensor(alone), rtol=1e-6, atol=1e-6)


@pytest.mark.faults
@pytest.mark.parametrize("change", ["full", "unused", "unused, own wrapper"])
def test_models_train_in_two_processes(tmp_path, change):
    """Full fine-tuning; and parameters without gradient, with the setting for them."""
    cfg = write_project(tmp_path)
    if change == "full":
        cfg.model = full_fine_tuning(tmp_path)
    else:  # nothing uses the adapter's queries
        cfg.model.decode_head.update(linked_queries=False, replace_query_feat=False)
        cfg.find_unused_parameters = change == "unused"
    if change == "unused, own wrapper":
        cfg.model_wrapper_cfg = dict(find_unused_parameters=True)
    both = in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "two", "pytorch")
    assert [len(losses) for losses in both] == [4, 4]


def results(folder) -> dict:
    """Return the files of a test's reports by name, without dates."""
    return {path.relative_to(folder).as_posix(): re.sub(
                rb"\d{4}-\d\d-\d\dT[\d:+-]+", b"", path.read_bytes())
            for path in folder.rglob("*.*")}


def compare_evaluation(cfg, root, world=2):
    """Test in one process and in several; all values and files must be equal."""
    cfg.visualizer.name = "alone"
    alone = evaluate(cfg, root, "alone")
    for metrics in in_processes(evaluate, world, root, cfg, root, "several", "pytorch"):
        assert metrics == alone
    expected, found = results(root / "alone"), results(root / "several")
    assert len(expected) > 3 and found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name
    return [one["image"] for one in json.loads(expected["results.json"])["images"]["failed"]]


@pytest.mark.parametrize("images, batch_size, corrupt, world", [
    pytest.param(5, 1, (), 2, marks=pytest.mark.faults),
    pytest.param(1, 1, (), 3, marks=pytest.mark.faults),  # fewer images than processes
    (3, 2, (0,), 2),  # both processes test image 0, the second one after its own image 1
    pytest.param(4, 2, (0, 2), 2, marks=pytest.mark.faults),  # all of one process
])
def test_evaluation_by_several_processes_equals_that_by_one(
        tmp_path, images, batch_size, corrupt, world):
    cfg = write_project(tmp_path, images)
    cfg.test_dataloader.batch_size = batch_size
    for number in corrupt:
        (tmp_path / f"images/{number}.png").write_bytes(b"no image")
    assert compare_evaluation(cfg, tmp_path, world) == [f"{n}.png" for n in corrupt]
