"""Section of the results page on confidence: a table and one reliability diagram per domain."""

from collections.abc import Mapping
from html import escape

import numpy as np

from rein.datasets.domains import domain_title
from rein.evaluation.confidence import BINS, Reliability
from rein.evaluation.report import percent, reliability_rows
from rein.evaluation.shift import QUANTILE

_SIDE, _LEFT, _TOP, _STRIP = 240, 34, 8, 44  # square plot, its margins, and the histogram below


def reliability_section(reliability: Mapping[str, Reliability]) -> str:
    """Draw the section; "" without scores."""
    if not reliability:
        return ""
    header, *rows = reliability_rows(reliability)
    head = "".join(f"<th>{escape(word)}</th>" for word in header)
    body = "".join(
        f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for name, *cells in rows)
    cards = "".join(
        f'<div class="card"><h3>{escape(domain_title(name))}: ECE {percent(one.error, 1)}</h3>'
        f"{_diagram(one.bins)}</div>" for name, one in reliability.items())
    return (
        "<h2>Confidence</h2>\n<p class=note>In percent. ECE: expected calibration error, the gap "
        f"between accuracy and confidence, averaged over the pixels in {BINS} bins of confidence. "
        "Flagged: images whose features lie farther from the training images' than those "
        f"of {100 * QUANTILE:g} % of held-out source images; - without calibration.</p>\n"
        f'<div class="card"><table class="numbers"><thead><tr>{head}</tr></thead><tbody>{body}'
        "</tbody></table></div>\n<p class=note>Bars: accuracy of the pixels of each confidence; "
        "below the diagonal the model is too sure. Grey: share of the pixels.</p>\n"
        f'<div class="grid small">{cards}</div>')


def _diagram(bins: np.ndarray) -> str:
    """Draw accuracy against confidence, and below it the share of the pixels of each bin."""
    counts, sums, hits = bins
    width, bottom, shapes = _SIDE / len(counts), _TOP + _SIDE, []
    for i in np.flatnonzero(counts):
        accuracy, confidence = hits[i] / counts[i], sums[i] / counts[i]
        share = counts[i] / counts.sum()
        x, height = _LEFT + i * width, accuracy * _SIDE
        tall = counts[i] / counts.max() * _STRIP
        hint = (f"confidence {percent(100 * confidence, 1)} %, accuracy "
                f"{percent(100 * accuracy, 1)} %, {percent(100 * share, 1)} % of the pixels")
        shapes.append(
            f"<g><title>{hint}</title>"
            f'<rect class="bar" x="{x + .5:.1f}" y="{bottom - height:.1f}" width="{width - 1:.1f}" '
            f'height="{height:.1f}"/><rect class="share" x="{x + .5:.1f}" y="{bottom + 22:.1f}" '
            f'width="{width - 1:.1f}" height="{tall:.1f}"/></g>')
    right = _LEFT + _SIDE
    return (
        f'<svg viewBox="0 0 {right + 12} {bottom + 22 + _STRIP}" role="img" '
        f'aria-label="reliability diagram">{"".join(shapes)}'
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="ideal" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{_TOP}"/>'
        f'<text x="{_LEFT - 5}" y="{_TOP + 9}" text-anchor="end">100</text>'
        f'<text x="{_LEFT - 5}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{bottom + 14}">0</text>'
        f'<text x="{_LEFT + _SIDE / 2}" y="{bottom + 14}" text-anchor="middle">confidence</text>'
        f'<text x="{right}" y="{bottom + 14}" text-anchor="end">100</text></svg>')
