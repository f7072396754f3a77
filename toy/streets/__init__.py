"""The toy street world: procedural street scenes with exact labels, in many looks.

From plan to file: `layout` invents a street, `scene` orders it and knows its label, `canvas`
paints it, `weather` turns it into a photograph in one of the `looks`, `formats` writes it as the
real data sets lie on disk, and `make` does that for whole data sets.
"""
