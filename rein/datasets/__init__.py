"""Datasets: urban scenes labelled with their domain, descriptions, label maps, converters."""
