"""Sliding windows over an image, without torch, as predictors of exported files need them too."""


def window_starts(size: int, window: int, stride: int) -> list[int]:
    """Return the start of each window along one side; the last window ends at `size`."""
    count = -(-(size - window) // stride) + 1
    return [min(i * stride, size - window) for i in range(count)]
