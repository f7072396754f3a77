"""Predict images, folders, videos and cameras; the functions behind `rein predict`."""
