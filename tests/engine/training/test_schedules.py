"""A schedule that reaches 0 before training ends is refused."""

import pytest
from mmengine.config import Config

from rein.engine.configs.reading import load_config
from rein.engine.training.schedules import check_schedule
from rein.errors import UserError

POLY = dict(type="PolyLR", eta_min=0, power=0.9, begin=30, end=100, by_epoch=False)


def config(*schedulers, **loop):
    return Config(dict(param_scheduler=list(schedulers), train_cfg=loop))


@pytest.mark.parametrize("scheduler, loop", [
    (POLY, dict(max_iters=101)),
    (dict(POLY, type="CosineAnnealingLR"), dict(max_iters=200)),
    (dict(type="LinearLR", end_factor=0, end=9), dict(max_epochs=10)),
])
def test_a_schedule_shorter_than_training_is_refused_with_the_way_out(scheduler, loop):
    with pytest.raises(UserError, match=r"is 0 from \d+ on. Use .*param_scheduler.1.end=\d+`"):
        check_schedule(config(dict(type="LinearLR", end=3), scheduler, **loop))


@pytest.mark.parametrize("scheduler, loop", [
    (POLY, dict(max_iters=100)),
    (POLY, dict(max_iters=2)),
    (dict(POLY, eta_min=1e-6), dict(max_iters=200)),
    (dict(POLY, type="CosineAnnealingLR", eta_min=None, eta_min_ratio=0.1), dict(max_iters=200)),
    (dict(type="LinearLR", end=30, by_epoch=False), dict(max_iters=200)),
    (dict(type="PolyLR", end=100), dict(max_iters=200)),  # of epochs, in a loop of iterations
    (dict(POLY, end={}), dict(max_iters=200)),  # refused where the scheduler is built
])
def test_other_schedules_pass(scheduler, loop):
    check_schedule(config(scheduler, **loop))


def test_the_suggested_overrides_mend_the_published_config():
    path, longer = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py", "80000"
    with pytest.raises(UserError) as error:
        check_schedule(load_config(path, [f"train_cfg.max_iters={longer}"]))
    overrides = str(error.value).partition("--cfg-options ")[2].partition("`")[0]
    check_schedule(load_config(path, overrides.split()))


def test_a_schedule_of_epochs_in_a_loop_without_epochs_is_refused():
    for loop in (dict(type="IterBasedTrainLoop", max_iters=100), dict(by_epoch=False)):
        with pytest.raises(UserError, match=r"param_scheduler.0 .PolyLR. changes .* by_epoch=Fals"):
            check_schedule(config(dict(type="PolyLR", end=100), **loop))
    check_schedule(config(dict(type="PolyLR", end=9, convert_to_iter_based=True), **loop))


@pytest.mark.parametrize("scheduler, what", [
    (dict(type="PolyLR"), "the learning rate"),
    (dict(type="CosineAnnealingParamScheduler", param_name="weight_decay"), "weight_decay")])
def test_the_message_names_what_a_schedule_changes(scheduler, what):
    with pytest.raises(UserError, match=f"changes {what} from epoch to epoch, but"):
        check_schedule(config(scheduler, type="IterBasedTrainLoop", max_iters=100))
