"""A path that cannot be written to gets one line, before the work is done."""

import pytest
from commands import error_line, run_tool
from conftest import ROOT, tiny_model_config
from mmengine.config import Config

CONFIG = ROOT / "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


@pytest.mark.parametrize("option", ["--out", "--show-dir", "--work-dir"])
@pytest.mark.parametrize("place", ["file", "file/inside"])
def test_testing_refuses_a_file_as_folder_before_it_loads_anything(tmp_path, option, place):
    (tmp_path / "file").write_text("mine")
    done = run_tool(ROOT / "tools/test.py", CONFIG, "nowhere.pth", option, place, cwd=tmp_path,
                    check=False)
    assert "file" in error_line(done) and "nowhere.pth" not in error_line(done)
    assert (tmp_path / "file").read_text() == "mine"


def test_training_refuses_a_file_as_work_dir(tmp_path):
    (tmp_path / "file").write_text("mine")
    cfg = Config.fromfile(CONFIG)
    cfg.model = tiny_model_config()
    cfg.dump(tmp_path / "tiny.py")
    done = run_tool(ROOT / "tools/train.py", "tiny.py", "--work-dir", "file", cwd=tmp_path,
                    check=False)
    assert "file" in error_line(done) and (tmp_path / "file").read_text() == "mine"


def test_a_weight_tool_refuses_a_folder_as_output(tmp_path):
    (tmp_path / "out.pth").mkdir()
    done = run_tool(ROOT / "tools/convert_models/convert_dinov2.py",
                    ROOT / "checkpoints/toy_vit_pretrain.pth", "out.pth", "--img-size", "224",
                    cwd=tmp_path, check=False)
    assert "out.pth" in error_line(done)
