"""IoU per domain and the mean over target domains; tables, files and pictures of the results."""
