"""Results of one evaluation, and the tables and files made of them.

Sources: IoU as in PASCAL VOC and Cityscapes, intersection over union of all pixels of a domain.
"""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rein.datasets.urban import domain_title


@dataclass(frozen=True)
class DomainResults:
    """Confusion of truth and prediction in each domain; every measure follows from it, in percent.

    Args:
        domains: D names, such as "citys".
        classes: C names.
        confusion: int64 (D, C, C), pixels of [domain, true class, predicted class].
        mean_domains: The domains whose mIoU the mean is taken of.
        protocol: How the images were prepared, such as "rein"; "" where unknown.
    """

    domains: tuple[str, ...]
    classes: tuple[str, ...]
    confusion: np.ndarray
    mean_domains: tuple[str, ...]
    protocol: str = ""

    def _percent_of(self, whole: np.ndarray) -> np.ndarray:
        correct = np.diagonal(self.confusion, axis1=1, axis2=2)
        with np.errstate(divide="ignore", invalid="ignore"):  # an absent class is NaN
            return 100.0 * correct / whole

    @property
    def iou(self) -> np.ndarray:
        """IoU (D, C); NaN where a class is neither in the truth nor predicted."""
        truth, predicted = self.confusion.sum(2), self.confusion.sum(1)
        correct = np.diagonal(self.confusion, axis1=1, axis2=2)
        return self._percent_of(truth + predicted - correct)

    @property
    def acc(self) -> np.ndarray:
        """Share of a class's pixels found (D, C); NaN where the class is not in the truth."""
        return self._percent_of(self.confusion.sum(2))

    @property
    def miou(self) -> np.ndarray:
        """Mean IoU (D,) over the classes that occur."""
        return _nanmean(self.iou)

    @property
    def macc(self) -> np.ndarray:
        """Mean accuracy (D,) over the classes that occur."""
        return _nanmean(self.acc)

    @property
    def aacc(self) -> np.ndarray:
        """Share of all pixels that are right (D,)."""
        with np.errstate(invalid="ignore"):
            correct = np.trace(self.confusion, axis1=1, axis2=2)
            return 100.0 * correct / self.confusion.sum((1, 2))

    @property
    def majority_miou(self) -> np.ndarray:
        """Mean IoU (D,) of a guess that calls every pixel the domain's most frequent class."""
        truth = self.confusion.sum(2)
        with np.errstate(invalid="ignore"):
            return 100.0 * truth.max(1) / truth.sum(1) / (truth > 0).sum(1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean (...) of values (D, ...) over `mean_domains`, without NaN."""
        return _nanmean(values[[self.domains.index(name) for name in self.mean_domains]].T)


def _nanmean(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing to average is NaN
        return np.nanmean(values, axis=-1)


def table_rows(results: DomainResults) -> list[list[str]]:
    """Lay the results out: a header, one row a class, then mIoU, mAcc and aAcc.

    Returns:
        Rows of cells: name, one value per domain, mean; percent with two decimals, "-" for NaN.
    """
    names = (*results.classes, "mIoU", "mAcc", "aAcc")
    values = np.column_stack([results.iou, results.miou, results.macc, results.aacc])
    columns = np.vstack([values, results.mean(values)]).T
    header = ["class", *map(domain_title, results.domains), "mean"]
    return [header] + [
        [name, *("-" if np.isnan(cell) else f"{cell:.2f}" for cell in cells)]
        for name, cells in zip(names, columns, strict=True)
    ]


def _caption(results: DomainResults) -> str:
    protocol = f", protocol `{results.protocol}`" if results.protocol else ""
    counted = "" if results.mean_domains == results.domains else (
        f"; mean over {', '.join(map(domain_title, results.mean_domains))}")
    return f"IoU in percent{protocol}{counted}"


def text_table(results: DomainResults) -> str:
    """Draw the results for a terminal or a log."""
    from prettytable import PrettyTable

    header, *rows = table_rows(results)
    table = PrettyTable(header, title=_caption(results))
    table.align = "r"
    table.align[header[0]] = "l"
    for number, row in enumerate(rows, 1):
        table.add_row(row, divider=number == len(results.classes))
    return table.get_string()


def markdown_table(results: DomainResults) -> str:
    """Write the results as a Markdown table with a caption above; the mIoU row is bold."""
    header, *rows = table_rows(results)
    lines = [header, [":--", *["--:"] * (len(header) - 1)]]
    lines += [[f"**{cell}**" for cell in row] if row[0] == "mIoU" else row for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_caption(results)}\n\n{table}\n"


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    # JSON knows no NaN
    return {n: None if np.isnan(v) else float(v) for n, v in zip(names, values, strict=True)}


def write_results_json(results: DomainResults, path: str | Path) -> None:
    """Write every measure at full precision, in percent, null where a class does not occur.

    Args:
        results: What to write.
        path: JSON file; its folder is made where missing.
    """
    domains = {}
    for i, domain in enumerate(results.domains):
        domains[domain] = {
            "name": domain_title(domain),
            **_named(("mIoU", "mAcc", "aAcc"), (results.miou[i], results.macc[i], results.aacc[i])),
            **_named(("majority_mIoU",), (results.majority_miou[i],)),
            "IoU": _named(results.classes, results.iou[i]),
            "Acc": _named(results.classes, results.acc[i]),
        }
    content = {
        "protocol": results.protocol,
        "domains": domains,
        "mean_domains": list(results.mean_domains),
        "mean": {
            **_named(("mIoU", "majority_mIoU"), (
                results.mean(results.miou), results.mean(results.majority_miou))),
            "IoU": _named(results.classes, results.mean(results.iou)),
        },
    }
    _write_text(Path(path), json.dumps(content, indent=2) + "\n")


def write_markdown(results: DomainResults, path: str | Path) -> None:
    """Write `markdown_table` to a file; its folder is made where missing."""
    _write_text(Path(path), markdown_table(results))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # nothing half-written stays under the name
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
