"""The chart: bars of CPU a request, a panel for each workload, two panels beside each other."""

import statistics

from .report import rounds, spread

ROW, GAP, HEAD, COLUMNS = 22, 30, 18, 2
LABEL, BAR, VALUE = 150, 190, 130  # widths within a panel
MARGIN, BETWEEN = 16, 28
PANEL = LABEL + BAR + VALUE
WIDTH = 2 * MARGIN + COLUMNS * PANEL + BETWEEN

OURS, OURS_PALE = "#c2410c", "#fb923c"
PEER, REFERENCE, REFERENCE_PALE = "#64748b", "#8a8f98", "#b9bdc4"
COLOURS = {
    "hyper": REFERENCE, "hyper again": REFERENCE_PALE, "axum again": REFERENCE_PALE,
    "static": REFERENCE,
    "loaded again": OURS_PALE, "loaded, inline": PEER, "loaded, own_runtime": PEER,
}

# Part: its heading, and the two rows that are the same server.
GROUPS = {
    "http1": ("HTTP/1.1", ("hyper", "hyper again")),
    "http2": ("HTTP/2, cleartext", ("hyper", "hyper again")),
    "websocket": ("WebSocket, a message and its echo", ("axum", "axum again")),
    "hops": ("An app that waits for a task of its own", ("loaded", "loaded again")),
}

STYLE = """
  text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2937 }
  .title { font-size: 16px; font-weight: 600 }
  .group { font-size: 14px; font-weight: 600 } .head { font-weight: 600 }
  .name { text-anchor: end } .end { text-anchor: end }
  .unit { fill: #6b7280; font-size: 11px }
  .value { font-variant-numeric: tabular-nums } .range { stroke: #1f2937; stroke-width: 1.5 }
  .rule { stroke: #d1d5db }
"""


def text(x, y, kind, content):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{content}</text>'


def colour(name):
    if name in COLOURS:
        return COLOURS[name]
    return OURS if name.startswith(("Ferricorn", "loaded")) else PEER


def bar(x, y, name, runs, most):
    """One server: its name, its bar with the range over it, and what it says."""
    values = [run["cpu"] for run in runs]
    value, scale = statistics.median(values), BAR / most
    thousands = statistics.median(run["rate"] for run in runs) / 1000
    x += LABEL
    middle = y + ROW / 2
    after = x + max(values) * scale + 8
    return [
        text(x - 8, middle + 4, "name", name),
        f'<rect x="{x}" y="{y + 3}" width="{value * scale:.1f}" height="{ROW - 6}" rx="2" '
        f'fill="{colour(name)}"/>',
        f'<path d="M{x + min(values) * scale:.1f} {middle}H{x + max(values) * scale:.1f}" '
        'class="range"/>',
        f'<text x="{after:.1f}" y="{middle + 4}" class="value">{value:.2f} µs'
        f'<tspan class="unit" dx="8">{thousands:,.0f}k/s</tspan></text>',
    ]


def panel(x, y, workload, runs, same):
    parts = [
        text(x, y, "head", workload),
        text(x + PANEL, y, "unit end", f"{same[0]} against itself ±{spread(runs, *same):.1%}"),
    ]
    most = max(run["cpu"] for those in runs.values() for run in those)
    for number, (name, those) in enumerate(runs.items()):
        parts += bar(x, y + 8 + number * ROW, name, those, most)
    return parts


def group(y, part, results):
    """The panels of one part; the y below them."""
    heading, same = GROUPS[part]
    facts = results[part]["about"]
    parts = [
        f'<path d="M{MARGIN} {y - 18}H{WIDTH - MARGIN}" class="rule"/>',
        text(MARGIN, y, "group", heading),
        text(WIDTH - MARGIN, y, "unit end",
             f"{facts['date']}: {rounds(facts)}"),
    ]
    y += HEAD + 8
    panels = list(results[part]["figures"]["throughput"].items())
    for start in range(0, len(panels), COLUMNS):
        beside = panels[start:start + COLUMNS]
        for column, (workload, runs) in enumerate(beside):
            parts += panel(MARGIN + column * (PANEL + BETWEEN), y, workload, runs, same)
        y += 8 + max(len(runs) for _, runs in beside) * ROW + GAP
    return parts, y + 8


def svg(results):
    """None if nothing was measured that it shows."""
    y, parts = 86, []
    for part in GROUPS:
        if part in results:
            more, y = group(y, part, results)
            parts += more
    if not parts:
        return None
    y -= GAP - 8  # what would separate another group
    lines = "\n".join(parts)
    return f'''<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">
<title>CPU time a request</title>
<style>{STYLE}</style>
<rect width="100%" height="100%" fill="#fff"/>
{text(MARGIN, 26, "title", "CPU time a request, in the kernel and outside (shorter is better)")}
{text(MARGIN, 44, "unit", "median of the rounds, the line is their range; beside it requests a second on one core")}
{lines}
</svg>
'''
