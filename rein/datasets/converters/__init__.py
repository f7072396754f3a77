"""Converters from raw dataset formats to label images of Cityscapes trainIds."""
