"""A tester holds the loaded segmentor; a missing file is reported before building anything."""

import pytest

from rein.engine.configs.reading import load_config
from rein.engine.testing import tester
from rein.engine.testing.options import EvaluationOptions
from rein.errors import UserError


def test_a_missing_checkpoint_is_reported_before_building(monkeypatch):
    monkeypatch.setattr(tester.ReinRunner, "from_cfg", lambda cfg: pytest.fail("was built"))
    cfg = load_config("configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py")
    with pytest.raises(UserError, match="nothing.pth: no such file"):
        tester.load_tester(cfg, "nothing.pth", EvaluationOptions())
