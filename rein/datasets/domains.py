"""Titles of domains, and where to get their files."""

import os

from rein.datasets.descriptions import DESCRIPTIONS, describe_domain
from rein.errors import UserError


def domain_title(domain: str) -> str:
    """Return the name of a domain in reports, e.g. "Cityscapes" for "citys"."""
    known = describe_domain(domain)
    return known.conditions.get(domain, known.title) if known else domain


def domain_of_root(data_root: str | None) -> str:
    """Infer a dataset's domain from the last component of its data_root.

    Parent folders are ignored: "/data/acdc/cityscapes/" is Cityscapes.

    Returns:
        The domain of the described dataset with the folder's name ("citys" for "cityscapes"), else
        the folder's name; "unnamed" without a data_root.
    """
    if not data_root:
        return "unnamed"
    folder = os.path.basename(os.path.abspath(data_root))
    return DESCRIPTIONS[folder].domain if folder in DESCRIPTIONS else folder


class Origin:
    """How to get and convert a dataset's files, for error messages.

    Args:
        domain (str): Domain of the samples; it need not have a description.
        data_root (str, optional): Folder of the dataset.
    """

    def __init__(self, domain: str, data_root: str | None):
        self.domain = domain
        self.root = os.path.normpath(data_root or ".")

    def how_to_convert(self) -> str:
        """Say in one sentence how to convert this domain's labels to trainIds."""
        known = describe_domain(self.domain)
        if known is None:
            return (
                "Label values must be positions in the `classes` of the dataset's metainfo, or be "
                "listed in `label_values`, one for each class.")
        if known.convert:
            return f"Run `{known.convert.format(root=self.root)}`."
        return (f"Get the labels of {domain_title(self.domain)} (published as trainIds) again from "
                f"{known.url}.")

    def how_to_get(self) -> str:
        """Say in one sentence how to get the dataset's files."""
        known = describe_domain(self.domain)
        if known is None:
            return "Correct `data_root` and `data_prefix` in the config."
        get = f"Get {domain_title(self.domain)} from {known.url} and extract it to {self.root}"
        return f"{get}. {self.how_to_convert()}" if known.convert else f"{get}."


def require_folder(path: str, origin: Origin) -> None:
    """Raise a `UserError` that says how to get the folder if it is missing."""
    if not os.path.isdir(path):
        raise UserError(f"{os.path.abspath(path)}: no such folder. {origin.how_to_get()}")
