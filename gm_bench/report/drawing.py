"""How charts are drawn: axes, marks, labels, and SVG in a page's own colours.

Colours are names of CSS variables, so that a page shows a chart in its own colours, light or dark;
`standalone` gives a chart that is a file of its own what the page would. Same input, same bytes.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# What is drawn in, and what stands for it in a page: variable, then the colours of a light and a dark page.
INK, SOFT, LINE, PAGE, FLOOR_INK = "#010101", "#010102", "#010103", "#010104", "#010105"
FAMILY_INKS = tuple(f"#01020{i}" for i in range(6))
COLOURS = {
    INK: ("--ink", "#1c1d20", "#e8e8e6"),
    SOFT: ("--soft", "#63666d", "#9b9ea6"),
    LINE: ("--line", "#e3e3e0", "#2d2f34"),
    PAGE: ("--card", "#ffffff", "#1a1b1e"),
    FLOOR_INK: ("--accent", "#0b6e6e", "#5cc4bd"),
    FAMILY_INKS[0]: ("--family-0", "#3568b8", "#7aa7ee"),
    FAMILY_INKS[1]: ("--family-1", "#c2571a", "#f09a5f"),
    FAMILY_INKS[2]: ("--family-2", "#7b4ba0", "#bf95e0"),
    FAMILY_INKS[3]: ("--family-3", "#4d7f1f", "#9bc96a"),
    FAMILY_INKS[4]: ("--family-4", "#b03060", "#ee88ab"),
    FAMILY_INKS[5]: ("--family-5", "#8a6d10", "#d4b851"),
}
WIDTH, PANEL = 420.0, 220.0  # points: a chart of its own, and one of many small ones
BESIDE = 6.0  # points between a dot and its label
TIE = {"arrowstyle": "-", "linewidth": 0.7, "alpha": 0.7, "shrinkA": 0, "shrinkB": 2}  # where there are more
Band = list[tuple[float, float, float, float]]  # place, mean, lowest and highest of the seeds


@dataclass(frozen=True)
class Extent:
    """A value and the ends of the bar through it; the value itself where there is none."""

    value: float
    low: float
    high: float

    @property
    def bar(self) -> list[list[float]]:
        """How far the bar reaches below and above the value."""
        return [[self.value - self.low], [self.high - self.value]]


@dataclass(frozen=True)
class Point:
    """A variant in a scatter."""

    label: str
    family: str
    x: Extent
    y: Extent


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure in points with one pair of axes, drawn in ink on nothing."""
    figure, (axes,) = small_multiples(1, 1, width, height)
    return figure, axes


def small_multiples(n: int, n_columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure in points with `n` pairs of axes, row by row."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        found = [figure.add_subplot(-(-n // n_columns), n_columns, i + 1) for i in range(n)]
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(LINE)
        axes.tick_params(length=0)
        axes.grid(color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, found


_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # a $ in a name is a $
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
}


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an element for a page: names of its own, colours as variables, two decimals."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    # A rule for every element would reach into the page around it.
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    text = text.replace("<svg", '<svg stroke-linejoin="round" stroke-linecap="butt"', 1)
    text = re.sub(r"(<svg[^>]*?) width=\"[^\"]*\"", r"\1", text, count=1)
    text = re.sub(r"(<svg[^>]*?) height=\"[^\"]*\"", r"\1", text, count=1)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    text = re.sub(r" font-family: [^;\"]*;", "", text)  # that of the page
    text = re.sub(r" transform=\"rotate\(-0 [^\"]*\"", "", text)
    text = re.sub(r"<path d=\"[^\"]*\" style=\"fill: none\"/>", "", text)  # grounds that are not painted
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"\d+\.\d{3,}", _short_coordinate, tag[0]), text)
    for colour, (variable, _, _) in COLOURS.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"<g>\s*</g>|<g/>", "", re.sub(r">\s+<", "><", text))
    return re.sub(r"\s+", " ", text).strip()


def _short_coordinate(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def standalone(svg: str) -> str:
    """A chart of `to_svg` as a file of its own: with its colours for light and dark, and a font."""
    light = "".join(f"{name}:{colour};" for name, colour, _ in COLOURS.values())
    dark = "".join(f"{name}:{colour};" for name, _, colour in COLOURS.values())
    style = (
        f"<style>:root{{{light}font-family:system-ui,sans-serif}}"
        "text{paint-order:stroke;stroke:var(--card);stroke-width:2.5px}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
        '<rect width="100%" height="100%" style="fill:var(--card)"/>'
    )
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style, svg, count=1) + "\n"


def dots(axes: Axes, y: float, extent: Extent, seeds: Sequence[float], colour: str) -> None:
    """A mean with its interval, and the seeds along it."""
    axes.plot([extent.low, extent.high], [y, y], color=colour, linewidth=1.4, solid_capstyle="butt")
    axes.plot(seeds, [y] * len(seeds), "o", color=colour, markersize=2.6, alpha=0.55)
    axes.plot(extent.value, y, "o", color=colour, markersize=6, markeredgecolor=PAGE, markeredgewidth=0.8)


def vertical(axes: Axes, x: float, label: str) -> None:
    axes.axvline(x, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1.2)
    axes.annotate(
        label,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, 2),
        textcoords="offset points",
        color=FLOOR_INK,
        fontsize=10,
        annotation_clip=False,
    )


def key(axes: Axes, signs: Sequence[tuple[str, str]]) -> None:
    handles = [
        axes.plot(
            [],
            [],
            sign,
            color=SOFT,
            markersize=4.5,
            markerfacecolor=SOFT if sign == "o" else PAGE,
            label=words,
        )[0]
        for sign, words in signs
    ]
    axes.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.04),
        ncols=len(signs),
        frameon=False,
        labelcolor=SOFT,
        fontsize=10,
        handletextpad=0.1,
        columnspacing=1.2,
    )


def names_on_y(axes: Axes, names: Sequence[str]) -> None:
    """A row for each name, the first on top."""
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def logarithmic(axes: Axes, which: Literal["x", "y"], values: Sequence[float], narrow: bool = False) -> None:
    """A logarithmic axis over all positive values, with plain numbers at its ticks.

    Args:
        narrow: there is room for few of them.
    """
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive) / 1.25, max(positive) * 1.25
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    steps = (1.0, 2.0, 5.0) if high / low < (30 if narrow else 1000) else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """2, 0.5, 20k, 1M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if sign == 'k' else size):g}{sign}"
    return f"{value:g}"


def images_on_x(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def scatter(
    axes: Axes,
    points: Sequence[Point],
    colours: Mapping[str, str],
    floor: tuple[float, float] | None,
) -> None:
    """Means with crosses of their intervals and labels that keep clear of one another."""
    places = []
    for point in points:
        x, y, colour = point.x.value, point.y.value, colours[point.family]
        axes.errorbar(
            x,
            y,
            xerr=point.x.bar,
            yerr=point.y.bar,
            fmt="none",
            ecolor=colour,
            elinewidth=0.9,
            alpha=0.6,
        )
        axes.plot(x, y, "o", color=colour, markersize=6, markeredgecolor=PAGE, markeredgewidth=0.8)
        places.append((point.label, x, y, colour))
    if floor:
        axes.plot(*floor, "*", color=FLOOR_INK, markersize=11, markeredgecolor=PAGE, markeredgewidth=0.8)
        places.append(("floor", *floor, FLOOR_INK))
    _label(axes, places)


def _label(axes: Axes, places: Sequence[tuple[str, float, float, str]]) -> None:
    """A label at each point, at the first of sixteen places around it that nothing else takes.

    One that does not stand beside its point is tied to it by a line.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    points = [tuple(axes.transData.transform((x, y))) for _, x, y, _ in places]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    frame = axes.get_window_extent()
    for (label, x, y, colour), (left, bottom) in zip(places, points, strict=True):
        width, height = 6.8 * len(label), 11.0
        best: tuple[float, float, tuple[float, float]] | None = None
        for distance in (BESIDE, 16.0, 27.0, 38.0):
            for dx, dy in (
                (distance, 2.0),
                (-distance - width, 2.0),
                (-width / 2, distance),
                (-width / 2, -distance - height),
            ):
                box = (left + dx, bottom + dy, left + dx + width, bottom + dy + height)
                outside = max(0, frame.x0 - box[0]) + max(0, box[2] - frame.x1 - 20)
                outside += max(0, frame.y0 - box[1]) + max(0, box[3] - frame.y1)
                amount = sum(_overlap(box, other) for other in taken) + 50 * outside + distance / 10
                if best is None or amount < best[0]:
                    best = (amount, distance, (dx, dy))
        assert best is not None
        _, distance, (dx, dy) = best
        taken.append((left + dx, bottom + dy, left + dx + width, bottom + dy + height))
        axes.annotate(
            label,
            (x, y),
            xytext=(dx, dy),
            textcoords="offset points",
            color=colour,
            fontsize=11,
            annotation_clip=False,
            arrowprops=None if distance <= BESIDE else TIE | {"color": colour},
        )


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def draw_band(axes: Axes, band: Band, colour: str, style: str) -> None:
    x = [b[0] for b in band]
    axes.fill_between(x, [b[2] for b in band], [b[3] for b in band], color=colour, alpha=0.22, linewidth=0)
    axes.plot(x, [b[1] for b in band], color=colour, linewidth=1.4, linestyle=style)
