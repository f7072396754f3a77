"""Domains by name: their titles, and where their files come from."""

import os

from rein.datasets.descriptions import DESCRIPTIONS, describe_domain
from rein.errors import UserError


def domain_title(domain: str) -> str:
    """Return a domain's name in reports, e.g. "Cityscapes" for "citys"."""
    known = describe_domain(domain)
    return known.conditions.get(domain, known.title) if known else domain


def domain_of_root(data_root: str | None) -> str:
    """Name the domain of a dataset that declares none, by the last part of its data_root.

    Parent folders never count: "/data/acdc/cityscapes/" is Cityscapes.

    Returns:
        The domain of the dataset that is described under the folder's name ("citys" for
        "cityscapes"), else the folder's name; "unnamed" without a data_root.
    """
    if not data_root:
        return "unnamed"
    folder = os.path.basename(os.path.abspath(data_root))
    return DESCRIPTIONS[folder].domain if folder in DESCRIPTIONS else folder


class Origin:
    """Where a dataset's files come from, for error messages.

    Args:
        domain (str): Domain of its samples, described or not.
        data_root (str, optional): Its folder.
    """

    def __init__(self, domain: str, data_root: str | None):
        self.domain = domain
        self.root = os.path.normpath(data_root or ".")

    def how_to_convert(self) -> str:
        """Say in one sentence how labels of this domain become trainIds."""
        known = describe_domain(self.domain)
        if known is None:
            return (
                "A label value is a position in the classes of the dataset's metainfo, or stands "
                "for one by its place in `label_values`.")
        if known.convert:
            return f"Run `{known.convert.format(root=self.root)}`."
        return (f"Get the labels of {domain_title(self.domain)} (trainIds already) again from "
                f"{known.url}.")

    def how_to_get(self) -> str:
        """Say in one sentence how the dataset's folder is filled."""
        known = describe_domain(self.domain)
        if known is None:
            return "Correct `data_root` and `data_prefix` in the config."
        get = f"Get {domain_title(self.domain)} from {known.url} and extract it to {self.root}"
        return f"{get}, then: {self.how_to_convert()}" if known.convert else f"{get}."


def require_folder(path: str, origin: Origin) -> None:
    """Raise a `UserError` that says how to get a folder that is not there."""
    if not os.path.isdir(path):
        raise UserError(f"{os.path.abspath(path)}: no such folder. {origin.how_to_get()}")
