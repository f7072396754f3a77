"""Conversion of UrbanSyn labels to trainIds under their images' names."""

import numpy as np
from label_files import read, save_palette
from PIL import Image

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.urbansyn import convert_urbansyn


def test_urbansyn_labels_take_their_images_names_and_19_is_ignored(tmp_path):
    ids = np.array([[*range(20), 255]], np.uint8)
    save_palette(tmp_path / "ss/ss_0001.png", ids)
    (tmp_path / "rgb").mkdir()
    Image.new("RGB", (21, 1)).save(tmp_path / "rgb/rgb_0001.png")
    assert convert_urbansyn(tmp_path, workers=1) == Report(1, 0, ())
    result = read(tmp_path / "labels/rgb_0001_labelTrainIds.png")
    assert result.tolist() == [[*range(19), 255, 255]]
    save_palette(tmp_path / "ss/ss_0001.png", ids + 13)  # 255 wraps around to 12
    (_, reason), = convert_urbansyn(tmp_path, workers=1, overwrite=True).failed
    assert reason.startswith("label values 20, 21, 22")
