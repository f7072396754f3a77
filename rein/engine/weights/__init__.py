"""Load, convert, merge, download and share weight files."""
