"""A config in a checkpoint is read as data, never executed, and may name only registered types."""

import pytest
from mmengine.config import Config

from rein import checkpoint as ckpt
from rein.engine.configs.carried import config_from_text, read_carried_config
from rein.errors import UserError


@pytest.mark.parametrize("text, reason", [
    ("import os", "not an assignment"),
    ("a = __import__('os').system('true')", "calls a function"),
    ("a = dict(type='subprocess.Popen', args=['true'])", "subprocess.Popen"),
    ("a = [x for x in ()]", "not plain data"),
])
def test_a_carried_config_is_never_run(text, reason):
    with pytest.raises(UserError, match=reason):
        config_from_text(text, "file.pth")


def test_a_config_is_read_without_the_weights(tmp_path):
    cfg = Config(dict(model=dict(type="EncoderDecoder"), seeds=(1, 2)))
    path = ckpt.save_file(dict(meta=dict(cfg=cfg.pretty_text)), tmp_path / "merged.pth")
    assert read_carried_config(str(path))._cfg_dict == cfg._cfg_dict


def test_a_file_without_a_config_asks_for_one(tmp_path):
    path = ckpt.save_file(dict(meta={}), tmp_path / "merged.pth")
    with pytest.raises(UserError, match="merged.pth: carries no config. Give one: .*CONFIG"):
        read_carried_config(str(path))


def test_numbers_that_python_prints_as_names_are_read():
    cfg = config_from_text("a = inf\nb = [-inf, nan]", "file.pth")
    assert cfg.a == float("inf") and cfg.b[0] == -float("inf") and cfg.b[1] != cfg.b[1]
