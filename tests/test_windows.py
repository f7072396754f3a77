"""Windows cover an image from its start to its end."""

import pytest

from rein.windows import window_starts


@pytest.mark.parametrize("size, window, stride, expected", [
    (64, 64, 43, [0]), (100, 64, 43, [0, 36]), (107, 64, 43, [0, 43]),
    (2048, 512, 341, [0, 341, 682, 1023, 1364, 1536])])
def test_the_last_window_ends_with_the_image(size, window, stride, expected):
    assert window_starts(size, window, stride) == expected
