"""The toy street world: procedural street scenes with exact labels, in many looks.

From plan to file: `layout` invents a street, `scene` orders its objects and labels it, `canvas`
paints it, `weather` renders it as a photograph in one of the `looks`, `formats` writes it in the
layouts of the real datasets, and `make` generates whole datasets.
"""
