"""Name images by their place in a dataset, wherever the dataset is stored."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rein.datasets.domain_stamps import stamped_domain
from rein.datasets.wrappers import datasets_inside


class ImageFolders(NamedTuple):
    """Folders of a domain's images, as absolute paths.

    Attributes:
        root: The data root. Two runs tested the same image if its path below this is the same.
        images: Folder of all images, in `root`. Predictions keep the tree below it.
    """

    root: str
    images: str

    def below_root(self) -> str:
        """Return the images' folder below the data root, such as "leftImg8bit/val"."""
        return Path(os.path.relpath(self.images, self.root)).as_posix()


def image_folders(dataset: Any) -> dict[str, ImageFolders]:
    """Map each domain to its folders; several datasets of a domain get their common folders.

    Args:
        dataset: A dataset from `build_dataset`, or a wrapper of some. Datasets whose images are
            not in their data root are left out.
    """
    roots: dict[str, list[str]] = {}
    images: dict[str, list[str]] = {}
    for domain, root, folder in _folders_of_leaves(dataset):
        roots.setdefault(domain, []).append(root)
        images.setdefault(domain, []).append(folder)
    found = {domain: ImageFolders(*map(os.path.commonpath, (roots[domain], images[domain])))
             for domain in roots}
    return {domain: folders for domain, folders in found.items()
            if os.path.commonpath(folders) == folders.root}


def _folders_of_leaves(dataset: Any) -> Iterator[tuple[str, str, str]]:
    for leaf in datasets_inside(dataset):
        folder = (getattr(leaf, "data_prefix", None) or {}).get("img_path")
        root = getattr(leaf, "data_root", None)
        domain = stamped_domain(leaf)
        if root and folder and domain is not None:
            yield domain, os.path.abspath(root), os.path.abspath(folder)


def image_name(path: str, domain: str, folders: Mapping[str, ImageFolders]) -> str:
    """Return an image's path below the folder of its domain's images; its file name if unknown."""
    if domain not in folders:
        return Path(path).name
    name = Path(os.path.relpath(path, folders[domain].images))
    if ".." in name.parts:  # listed by its full path, from outside the folder
        name = Path(os.path.abspath(path).lstrip(os.sep))
    return name.as_posix()


def image_paths(dataset: Any) -> dict[str, set[str]]:
    """Map each domain of `image_folders` to its images' paths below the data root."""
    folders, found = image_folders(dataset), {}
    for leaf in datasets_inside(dataset):
        domain = stamped_domain(leaf)
        if domain in folders:
            names = (image_name(leaf.get_data_info(i)["img_path"], domain, folders)
                     for i in range(len(leaf)))
            found.setdefault(domain, set()).update(
                Path(folders[domain].below_root(), name).as_posix() for name in names)
    return found

