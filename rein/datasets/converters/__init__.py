"""Converters from raw dataset formats to label images with Cityscapes trainIds."""
