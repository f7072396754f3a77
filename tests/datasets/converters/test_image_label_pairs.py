"""Errors shared by all converters: path, layout and source of a missing dataset are named."""

import pytest

from rein.datasets.converters.cityscapes import convert_cityscapes
from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.mapillary import convert_mapillary, halve_mapillary
from rein.datasets.converters.synthia import convert_synthia
from rein.datasets.converters.urbansyn import convert_urbansyn
from rein.errors import UserError


@pytest.mark.parametrize(("convert", "url"), [
    (convert_gta, "download.visinf.tu-darmstadt.de"),
    (convert_synthia, "synthia-dataset.net"),
    (convert_urbansyn, "urbansyn.org"),
    (convert_cityscapes, "cityscapes-dataset.com"),
    (lambda root: convert_mapillary(root, root / "out"), "mapillary.com"),
    (lambda root: halve_mapillary(root, root / "l", root / "i", root / "o"), "no .jpg"),
])
def test_missing_dataset_error_names_path_layout_and_source(tmp_path, convert, url):
    with pytest.raises(UserError) as error:
        convert(tmp_path / "nowhere")
    message = str(error.value)
    assert message.startswith(str(tmp_path / "nowhere")) and "Expected" in message
    assert url in message and "\n" not in message
