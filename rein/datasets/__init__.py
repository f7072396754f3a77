"""Datasets: urban scenes with a domain on every sample, descriptions, label maps, converters."""
