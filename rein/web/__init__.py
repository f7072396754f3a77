"""The page of `rein demo`: try a segmentor on images, short videos and corrupted images."""
