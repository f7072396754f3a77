"""A self-contained HTML page of results: tables, confusion, example images and curves."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from rein.atomic_files import write_atomically
from rein.datasets.domains import domain_title
from rein.evaluation.curves import Curves
from rein.evaluation.page_style import STYLE
from rein.evaluation.reliability_page import reliability_section
from rein.evaluation.report import percent
from rein.evaluation.results import (
    DomainResults,
    ImageResult,
    RunRecord,
    image_miou,
    image_names,
    reliability_of,
)

Palette = Sequence[Sequence[int]]

_SHOWN_CURVES = 9
_CURVE_WIDTH, _CURVE_HEIGHT, _CURVE_LEFT, _CURVE_BOTTOM = 400, 200, 60, 24


def write_page(
    path: str | Path, results: DomainResults, images: Sequence[ImageResult], record: RunRecord,
    curves: Curves | None = None, palette: Palette = (),
) -> None:
    """Write the page.

    Args:
        path: HTML file; its folder is created if missing.
        results: Results of the domains.
        images: Results of the images; those with a strip are shown as best and worst.
        record: Settings of the test.
        curves: Training curves, if any.
        palette: RGB of each class, uint8 range; () for no colours.
    """
    parts = [
        _head(results, record), _failures(images), _heat_table(results, palette),
        _confusions(results, palette), reliability_section(reliability_of(images)),
        _examples(results, images, palette), _curves(curves or {}), _facts(record),
    ]
    title = escape(f"{record.config}, {record.protocol or 'no protocol'}")
    write_atomically(Path(path), (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<body>\n"
        + "\n".join(part for part in parts if part) + "\n</body>\n</html>\n"))


def _head(results: DomainResults, record: RunRecord) -> str:
    tiles = [("", domain_title(name), value, guess) for name, value, guess in zip(
        results.domains, results.miou, results.majority_miou, strict=True)]
    tiles.append((" mean", f"mean of {len(results.mean_domains)}", results.mean(results.miou),
                  results.mean(results.majority_miou)))
    drawn = "".join(
        f'<div class="tile{kind}" title="most frequent class everywhere: {percent(guess)}">'
        f"<span>{escape(name)}</span><b>{percent(value)}</b></div>"
        for kind, name, value, guess in tiles)
    seed = "unknown" if record.seed is None else record.seed
    return (
        f"<h1>{escape(record.config)}</h1>\n<p class=note>checkpoint <code>{record.digest[:12]}"
        f"</code> · protocol <b>{escape(record.protocol or 'of the config')}</b> · "
        f"{escape(record.inference)} · training seed {seed}</p>\n"
        f'<div class="tiles">{drawn}</div>\n<p class=note>mIoU in percent.</p>')


def _failures(images: Sequence[ImageResult]) -> str:
    failed = [image for image in images if image.error]
    if not failed:
        return ""
    lines = "".join(f"<p>{escape(domain_title(image.domain))}: {escape(image.error)}</p>"
                    for image in failed)
    return (f'<div class="card failed"><h3>{len(failed)} of {len(images)} images failed and are '
            f"excluded</h3>{lines}</div>")


def _chip(palette: Palette, index: int) -> str:
    if index >= len(palette):
        return ""
    color = ",".join(str(int(value)) for value in palette[index])
    return f'<i class="chip" style="background:rgb({color})"></i>'


def _heat(value: float, text: str, kind: str = "", hint: str = "") -> str:
    """Draw one coloured cell; `value` is in [0, 1] or NaN."""
    hint = f' title="{escape(hint)}"' if hint else ""
    if np.isnan(value):
        return f'<td class="none heat {kind}" style="--v:0"{hint}>{text}</td>'
    dark = "dark" if value > 0.72 else ""
    return f'<td class="heat {dark} {kind}" style="--v:{value:.3f}"{hint}>{text}</td>'


def _heat_table(results: DomainResults, palette: Palette) -> str:
    titles = "".join(f"<th><div>{_chip(palette, i)}{escape(name)}</div></th>"
                     for i, name in enumerate(results.classes))
    rows = [(domain_title(name), results.iou[i], results.miou[i])
            for i, name in enumerate(results.domains)]
    rows.append(("mean", results.mean(results.iou), results.mean(results.miou)))
    body = []
    for name, iou, miou in rows:
        cells = "".join(_heat(value / 100, percent(value, 1), hint=f"{name}, {label}")
                        for label, value in zip(results.classes, iou, strict=True))
        body.append(f"<tr><th>{escape(name)}</th>{cells}"
                    f"{_heat(miou / 100, percent(miou, 1), 'sum')}</tr>")
    return (
        "<h2>IoU by class and domain</h2>\n<p class=note>In percent; - if a class is "
        'neither labelled nor predicted.</p>\n<div class="card"><table class="wide"><thead>'
        f"<tr><th></th>{titles}<th><div>mIoU</div></th></tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>")


def _confusions(results: DomainResults, palette: Palette) -> str:
    cards = "".join(
        f'<div class="card"><h3>{escape(domain_title(name))}</h3>'
        f"{_matrix(results.confusion[i], results.classes, palette)}</div>"
        for i, name in enumerate(results.domains))
    return (
        "<h2>Confusion</h2>\n<p class=note>Row: true class; column: predicted class; colour: "
        "square root of the share of the true class's pixels, so that small shares are visible. "
        "Cells off the framed diagonal are errors. Hover over a cell for its "
        f'numbers.</p>\n<div class="grid">{cards}</div>')


def _matrix(counts: np.ndarray, classes: Sequence[str], palette: Palette) -> str:
    titles = "".join(f"<th><div>{escape(name)}</div></th>" for name in classes)
    totals = counts.sum(1)
    rows = []
    for i, name in enumerate(classes):
        cells = []
        for j, other in enumerate(classes):
            share = counts[i, j] / totals[i] if totals[i] else float("nan")
            hint = f"{name} as {other}: {percent(100 * share)} %, {counts[i, j]} pixels"
            cells.append(_heat(share**0.5, "", "right" if i == j else "", hint))
        rows.append(f"<tr><th>{_chip(palette, i)}{escape(name)}</th>{''.join(cells)}</tr>")
    return (f'<table class="matrix"><thead><tr><th></th>{titles}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>")


def best_and_worst(
    images: Sequence[ImageResult], domain: str,
) -> tuple[list[ImageResult], list[ImageResult]]:
    """Split a domain's images with a strip into best and worst by mIoU.

    Returns:
        The best images, best first, and the worst, worst first; no image is in both.
    """
    shown = [image for image in images if image.domain == domain and image.strip]
    shown.sort(key=lambda image: (image_miou(image.confusion), image.path))
    half = len(shown) // 2
    return shown[half:][::-1], shown[:half]


def _examples(
    results: DomainResults, images: Sequence[ImageResult], palette: Palette,
) -> str:
    names = dict(zip((image.path for image in images), image_names(images), strict=True))
    cards = []
    for domain in results.domains:
        best, worst = best_and_worst(images, domain)
        figures = [_figure(image, word, names[image.path])
                   for word, part in (("best", best), ("worst", worst)) for image in part]
        if figures:
            cards.append(f'<div class="card"><h3>{escape(domain_title(domain))}</h3>'
                         f"{''.join(figures)}</div>")
    if not cards:
        return ""
    legend = "".join(f"<span>{_chip(palette, i)}{escape(name)}</span>"
                     for i, name in enumerate(results.classes))
    return (
        "<h2>Best and worst images</h2>\n<p class=note>By mIoU over the classes in each image's "
        "truth. Left: image; middle: image with prediction; right: errors (red wrong, white "
        f'correct, black ignored).</p>\n<div class="legend">{legend}</div>\n'
        f'<div class="grid">{"".join(cards)}</div>')


def _figure(image: ImageResult, word: str, name: str) -> str:
    data = base64.b64encode(image.strip).decode()
    miou = percent(image_miou(image.confusion), 1)
    return (f'<figure><img alt="image, prediction and errors" src="data:image/jpeg;base64,{data}">'
            f"<figcaption><b>{word}: {miou}</b> {escape(name)}</figcaption></figure>")


def _curves(curves: Curves) -> str:
    """Draw validation mIoU (mean first), then the last layer's losses, then the rest."""
    def rank(name: str) -> tuple:
        kinds = ("mean_mIoU", "mIoU", "loss", "loss_cls", "loss_mask", "loss_dice", "lr")
        kind = next((i for i, word in enumerate(kinds) if name.endswith(word)), len(kinds))
        return (kind, name)

    names = [name for name in sorted(curves, key=rank) if len(curves[name]) > 1
             and not re.search(r"[am]Acc$|\.d\d+\.", name)][:_SHOWN_CURVES]
    if not names:
        return ""
    cards = "".join(f'<div class="card"><h3>{escape(name)}</h3>{_curve(curves[name])}</div>'
                    for name in names)
    return (
        "<h2>Training</h2>\n<p class=note>By iteration; the bold line is a running mean.</p>\n"
        '<div class="grid" style="grid-template-columns:repeat(auto-fit,minmax(360px,1fr))">'
        f"{cards}</div>")


def _curve(points: Sequence[tuple[int, float]]) -> str:
    steps, values = (np.array(column, float) for column in zip(*points, strict=True))
    low, high = float(values.min()), float(values.max())
    x = _CURVE_LEFT + (steps - steps[0]) / max(steps[-1] - steps[0], 1) * (
        _CURVE_WIDTH - _CURVE_LEFT - 8)
    bottom = _CURVE_HEIGHT - _CURVE_BOTTOM
    scale = (bottom - 10) / ((high - low) or 1)
    window = max(len(values) // 20, 1)
    padded = np.pad(values, (window // 2, window - 1 - window // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(window) / window, "valid")

    def line(heights: np.ndarray, kind: str) -> str:
        marks = " ".join(f"{a:.1f},{bottom - (b - low) * scale:.1f}"
                         for a, b in zip(x, heights, strict=True))
        return f'<polyline class="{kind}" stroke-width="1.6" points="{marks}"/>'

    return (
        f'<svg viewBox="0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}" role="img">'
        f'<line class="axis" x1="{_CURVE_LEFT}" x2="{_CURVE_WIDTH - 8}" y1="{bottom}" '
        f'y2="{bottom}"/><text x="{_CURVE_LEFT - 6}" y="16" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_CURVE_LEFT - 6}" y="{bottom + 4}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_CURVE_LEFT}" y="{_CURVE_HEIGHT - 6}">{steps[0]:.0f}</text>'
        f'<text x="{_CURVE_WIDTH - 8}" y="{_CURVE_HEIGHT - 6}" text-anchor="end">'
        f"{steps[-1]:.0f}</text>{line(values, 'raw')}{line(smooth, 'curve')}</svg>")


def _facts(record: RunRecord) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
                   for name, value in record.facts())
    return f'<h2>What was run</h2>\n<div class="card"><dl>{rows}</dl></div>'
