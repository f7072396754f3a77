"""The README's lines of Python run; its commands run in tests/tools/test_commands.py."""

import numpy as np
from doc_blocks import ROOT, blocks
from PIL import Image


def test_lines_of_python_segment_an_image(street):
    code, = blocks(ROOT / "README.md", "python")
    assert code.count("\n") == 5
    names = {}
    exec(code, names)
    seg_map = names["result"].seg_map
    assert np.array_equal(Image.open("street_classes.png"), seg_map)
    assert len(np.unique(seg_map)) > 1
    assert Image.open("street_overlay.png").size[0] == 100
