"""A run continues as it began, or is refused; a used work dir is not overwritten unasked."""

import shutil

import pytest
import torch
from mmengine.config import Config
from processes import in_processes
from tiny_training import check_equal, training_config

from rein import checkpoint as ckpt
from rein.engine.configs.checking import SECTIONS
from rein.engine.training.accumulation import share_gradients
from rein.engine.training.resuming import (
    adopt_seed,
    adopt_start,
    check_resumable,
    check_unchanged,
    check_unused,
    find_resumed,
)
from rein.engine.training.run import train
from rein.errors import UserError
from rein.folders import only_writer


@pytest.fixture
def used(finished, tmp_path):
    """A copy of a finished run's work dir."""
    return shutil.copytree(finished, tmp_path / "used")


def weights(path):
    return ckpt.load_file(path)["state_dict"]


def test_training_again_in_a_used_work_dir_is_refused(data, used):
    before = {path: path.read_bytes() for path in used.glob("*.pth")}
    for resume in (None, str(used.parent / "other/iter_2.pth")):
        with pytest.raises(UserError, match="used: already holds iter_4.pth of an earlier run. "
                                            "Continue that run with --resume, choose .* --force"):
            train(training_config(data), "run", str(used), resume=resume)
    assert {path: path.read_bytes() for path in used.glob("*.pth")} == before
    check_unused(str(used), str(used / "iter_2.pth"))  # going back to an earlier state is fine


def test_a_second_training_in_one_work_dir_is_refused_until_the_first_ends(
        data, used, monkeypatch):
    cfg = training_config(data)
    for options in (dict(), dict(resume="auto"), dict(force=True)):
        with only_writer(used, "training"), pytest.raises(
                UserError, match="used: another training is writing to this folder"):
            train(cfg, "run", str(used), **options)
    monkeypatch.setenv("RANK", "1")  # the main process of several alone locks, and decides
    with only_writer(used, "training"), pytest.raises(UserError, match="already holds iter_4.pth"):
        train(cfg, "run", str(used), launcher="pytorch")
    with pytest.raises(UserError, match="new: no whole checkpoint"):
        train(cfg, "run", str(used.parent / "new"), resume="auto")
    assert not (used.parent / "new").exists()
    train(training_config(data, max_iters=5), "run", str(used), resume="auto")
    with only_writer(used, "training"):
        pass


def test_force_replaces_a_run_once_training_begins(data, used):
    shutil.copy(used / "iter_4.pth", used / "iter_6.pth")
    shutil.copy(used / "iter_4.pth", used / "best_mIoU_iter_4.pth")
    cfg = training_config(data, max_iters=2)
    cfg.model.backbone.init_cfg.checkpoint = "nowhere.pth"
    with pytest.raises(UserError, match="nowhere.pth: no such file"):
        train(cfg, "run", str(used), force=True)
    assert len(list(used.glob("*.pth"))) == 4  # a run that cannot begin deletes nothing
    train(training_config(data, max_iters=2), "run", str(used), force=True)
    assert [path.name for path in used.glob("*.pth")] == ["iter_2.pth"]
    assert (used / "last_checkpoint").read_text() == "iter_2.pth"


def test_the_checkpoint_to_resume_is_named_found_or_missing(used, tmp_path):
    cfg = Config(dict(work_dir=str(used), load_from="start.pth"))
    assert find_resumed(cfg, None) is None
    assert find_resumed(cfg, "some.pth") == "some.pth"
    assert find_resumed(cfg, "auto") == str(used / "iter_4.pth")
    cfg.resume = True
    assert find_resumed(cfg, None) == "start.pth"
    cfg.load_from = None
    assert find_resumed(cfg, None) == str(used / "iter_4.pth")
    cfg.work_dir = str(tmp_path / "new")  # a config may say: continue if possible
    assert find_resumed(cfg, None) is None
    with pytest.raises(UserError, match="new: no whole checkpoint to resume from"):
        find_resumed(cfg, "auto")


def test_a_resumed_run_takes_the_seed_of_the_run_or_is_refused(finished):
    path = str(finished / "iter_2.pth")  # its seed is 42
    for cfg in (Config(), Config(dict(randomness=dict(seed=None, deterministic=True)))):
        adopt_seed(cfg, path)
        assert cfg.randomness.seed == 42
    assert cfg.randomness.deterministic is True
    with pytest.raises(UserError, match=r"seed is 42, but randomness.seed is 7.*seed=42`.*load_f"):
        adopt_seed(Config(dict(randomness=dict(seed=7))), path)


@pytest.mark.parametrize("change, message", [
    ({"optim_wrapper.optimizer.lr": 5, "optim_wrapper.optimizer.weight_decay": 0.9},
     r"iter_2.pth: .* optim_wrapper.optimizer.lr was 0.0001 and is 5; optim_wrapper.optimizer."
     r"weight_decay was 0.05 and is 0.9. Resume with those .*load_from=.*iter_2.pth"),
    ({"model.backbone.reins_config.alpha": 800}, r"reins_config.alpha was \(unset\) and is 800"),
    ({"train_dataloader.batch_size": 3}, "train_dataloader.batch_size was 2 and is 3"),
    ({"param_scheduler.0.power": 2}, "param_scheduler.0.power was 0.9 and is 2"),
    ({"custom_hooks": [dict(type="EMAHook", momentum=0.1)]}, r"custom_hooks was None and is \["),
    ({f"model.backbone.reins_config.n{i}": i for i in range(7)}, "n4 was .* is 4; and 2 more")])
def test_other_settings_than_the_runs_are_refused(data, finished, change, message):
    cfg = training_config(data)
    cfg.merge_from_dict(change)
    with pytest.raises(UserError, match=message):
        check_unchanged(cfg, str(finished / "iter_2.pth"))


def test_training_refuses_other_settings_and_writes_nothing(data, used):
    cfg = training_config(data)
    cfg.optim_wrapper.optimizer.lr = 5
    before = {path: path.read_bytes() for path in used.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="optimizer.lr was 0.0001 and is 5"):
        train(cfg, "run", str(used), resume="auto")
    assert {path: path.read_bytes() for path in used.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("change", [
    {"train_cfg.max_iters": 9, "train_cfg.val_interval": 3},
    {"train_dataloader.num_workers": 3, "train_dataloader.dataset.data_root": "/moved/data"},
    {"model.backbone.init_cfg.checkpoint": "/moved/renamed.pth"},  # its fingerprint is checked
    {"model.backbone.with_cp": True, "model.precision": "bf16", "compile": True},
    {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.loss_scale": "dynamic"},
    {"default_hooks.logger.interval": 7, "default_hooks.checkpoint.interval": 7},
    {"model.test_cfg.mode": "whole", "test_dataloader.batch_size": 2},
    {"launcher": "pytorch", "train_dataloader.batch_size": 1}])  # two processes share the batch
def test_a_run_may_change_what_keeps_its_training(data, finished, change):
    cfg = training_config(data)
    cfg.merge_from_dict(change)
    check_unchanged(cfg, str(finished / "iter_2.pth"))


def test_absolute_paths_of_a_run_may_move(tmp_path):
    def config(path):
        return Config(dict(train_dataloader=dict(dataset=dict(ann_file=path))))

    text = config("/here/train.txt").pretty_text
    path = str(ckpt.save_file(dict(meta=dict(cfg=text)), tmp_path / "iter_2.pth"))
    check_unchanged(config("/there/train.txt"), path)
    with pytest.raises(UserError, match="ann_file was /here/train.txt and is /here/other.txt"):
        check_unchanged(config("/here/other.txt"), path)


@pytest.mark.parametrize("meta", [{}, dict(cfg="custom_hooks = [dict(type='HookOfTheAuthors')]")])
def test_a_run_without_a_readable_config_resumes_with_any(tmp_path, meta):
    path = str(ckpt.save_file(dict(meta=meta), tmp_path / "published.pth"))
    check_unchanged(Config(dict(model=dict(type="EncoderDecoder"))), path)


@pytest.mark.parametrize("saved, start", [
    ("load_from = 'start.pth'", "start.pth"), ("load_from = None", None),
    ("load_from = 'iter_1.pth'\nresume = True\nstarted_from = 'start.pth'", "start.pth"),
    ("load_from = 'iter_1.pth'\nresume = True", "given.pth"),
    ("custom_hooks = [dict(type='HookOfTheAuthors')]", "given.pth"), ("", "given.pth")])
def test_a_resumed_run_keeps_the_name_of_the_file_it_started_from(tmp_path, saved, start):
    """That of the run; what is given may be another one, or left out."""
    path = str(ckpt.save_file(dict(meta=dict(cfg=saved)), tmp_path / "iter_2.pth"))
    cfg = Config(dict(load_from="given.pth"))
    adopt_start(cfg, path)
    assert cfg.started_from == start and cfg.load_from == path
    assert "started_from" in SECTIONS


def test_a_run_without_seed_and_schedule_resumes_exactly(data, tmp_path):
    def config():
        cfg = training_config(data, max_iters=2)
        cfg.default_hooks.checkpoint.interval = 1
        cfg.randomness = dict(seed=None)
        cfg.param_scheduler = None
        return cfg

    train(config(), "run", str(tmp_path / "whole"))
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / "whole/iter_1.pth", tmp_path / "resumed")
    train(config(), "run", str(tmp_path / "resumed"), resume="auto")
    whole, resumed = (weights(tmp_path / name / "iter_2.pth") for name in ("whole", "resumed"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert ckpt.identify(ckpt.load_file(tmp_path / "whole/iter_2.pth")).trains_on


def accumulate(data, work_dir, resume=None, launcher="none"):
    """Train five iterations, two steps of three and two; or continue what the work dir holds."""
    cfg = training_config(data, max_iters=5)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.optim_wrapper.accumulative_counts = 3
    train(cfg, "run", str(work_dir), resume=resume, launcher=launcher)


def begun(work_dir, checkpoint):
    """Make a work dir with a copy of a checkpoint."""
    work_dir.mkdir()
    shutil.copy(checkpoint, work_dir)
    return work_dir


def check_ends_equally(one, other):
    for key in ("state_dict", "optimizer"):
        check_equal(*(ckpt.load_file(folder / "iter_5.pth")[key] for folder in (one, other)))


def test_a_run_resumed_within_an_accumulation_loses_no_gradient(data, tmp_path):
    whole = tmp_path / "whole"
    accumulate(data, whole)
    sizes = [len(ckpt.load_file(whole / f"iter_{i}.pth").get("gradients", ())) for i in range(1, 6)]
    assert all(sizes[i] for i in (0, 1, 3)) and not any(sizes[i] for i in (2, 4))
    accumulate(data, begun(tmp_path / "resumed", whole / "iter_2.pth"), "auto")
    check_ends_equally(whole, tmp_path / "resumed")
    (log,) = (tmp_path / "resumed").glob("*/*.log")
    assert "is lost" not in log.read_text()


@pytest.mark.faults
def test_processes_resumed_within_an_accumulation_lose_no_gradient(data, tmp_path):
    """In several processes, whose gradients differ."""
    whole = tmp_path / "whole"
    in_processes(accumulate, 2, tmp_path, data, whole, None, "pytorch")
    resumed = begun(tmp_path / "resumed", whole / "iter_4.pth")
    in_processes(accumulate, 2, tmp_path, data, resumed, "auto", "pytorch")
    check_ends_equally(whole, resumed)


def shared_gradients():
    """Share gradients that differ by process, or that only one has; return them."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    both, second, none = parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    both.grad = torch.full((1,), 2.0 + 4 * rank)
    if rank:
        second.grad = torch.ones(1)
    share_gradients(parameters)
    return [both.grad.item(), second.grad.item(), none.grad]


def test_gradients_within_an_accumulation_are_averaged_over_processes(tmp_path):
    assert in_processes(shared_gradients, 2, tmp_path) == [[4, 0.5, None]] * 2


def test_another_schedule_than_the_runs_is_refused(finished):
    content = ckpt.load_file(finished / "iter_2.pth")

    class Schedule:
        def state_dict(self):
            return dict(begin=0, end=20)

    for now, message in (([Schedule()], "during 0-40000 .* during 0-20"), (None, "during none")):
        with pytest.raises(UserError, match=message):
            check_resumable(content, "iter_2.pth", now)
    content.pop("param_schedulers")
    check_resumable(content, "iter_2.pth", None)
    with pytest.raises(UserError, match="it has no param_schedulers"):
        check_resumable(content, "iter_2.pth", [Schedule()])
