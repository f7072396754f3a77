"""IoU per domain and the mean over target domains; tables, files and pictures of the results."""

from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.pictures import PredictionPictures

__all__ = ["DGIoUMetric", "PredictionPictures"]
