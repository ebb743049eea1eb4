"""The audit as people read it: Markdown and one figure. Returns text and bytes, writes nothing."""

import io
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.tracks.audit.corruptions import FAILURES
from gm_bench.tracks.audit.detection import Verdict, cell, table

Verdicts = Mapping[str, Mapping[str, Verdict]]
# In the figure a move is shown up to so many standard deviations; beyond that only its sign is of interest.
MOST_SHOWN = 1000.0
NOTICED, PASSING, PRAISED, BLIND = "#d9f0d9", "#fdf3cf", "#f6d5d5", "#f0f0f0"


def to_markdown(measured: Mapping[str, Any], verdicts: Verdicts, noise_multiple: float, picture: str) -> str:
    """The tables of one dataset with what is needed to read them.

    Args:
        measured: as the stage measure wrote it.
        picture: file name of the figure beside the text.
    """
    labels = {name: failure["labels"] for name, failure in measured["failures"].items() if failure["labels"]}
    protocol, n = measured["protocol"], measured["n"]
    n_clean, n_disturbed = _repetitions(measured)
    extractor = protocol["extractor"]
    head = ["metric", *(FAILURES[name].title for name in labels)]
    rows = [[IMAGES.title(row[0]), *row[1:]] for row in table(verdicts, labels)]
    sections = [
        f"# What the metrics notice: {measured['dataset']}",
        "Real images are disturbed on purpose and judged like generated ones. The table says from which "
        "strength on a metric notices: there and at every greater strength its mean over "
        f"{n_disturbed} repetitions is worse than for clean images by more than {noise_multiple:g} standard "
        f"deviations of {n_clean} clean draws, the noise of a single evaluation with N = {n:,}.",
        _markdown_table(head, rows),
        "- **blind**: no strength moves it beyond the noise.\n"
        "- **praised from**: from there on it calls disturbed images better than clean ones.\n"
        "- **only a to b**: it notices these strengths, but not the greatest.\n"
        "- **†**: it notices, but steps back on the way by more than the noise.\n"
        "- Strengths: "
        + "; ".join(f"{FAILURES[name].title}: {FAILURES[name].meaning}" for name in labels)
        + ".",
        f"![Every metric against the strength of every failure, in standard deviations]({picture})",
        "## Metric by metric",
        "\n".join(f"- **{IMAGES.title(metric)}** {_in_words(of)}" for metric, of in verdicts.items()),
    ]
    if measured["sizes"]["n"]:
        sections += [
            "## Sample size",
            f"Clean images only: mean ± standard deviation of {n_disturbed} repetitions. What moves from "
            "column to column is bias of a small sample, not a failure.",
            _size_table(measured["sizes"]),
        ]
    sections += [
        "## Protocol",
        f"- N = {n:,} in each of three disjoint sets (held-out, training, fakes), dealt anew each time "
        "from training and test split together.\n"
        f"- Extractor: {extractor['name']}, sha256 {extractor['sha256'][:12]}, {extractor['features']} "
        f"features; {protocol['preprocessing']}; {protocol['dtype']}.\n"
        f"- KID over {protocol['kid_subsets']} subsets of {protocol['kid_subset_size']}; "
        f"{protocol['neighbours']} neighbours; score over {protocol['score_splits']} split(s).\n"
        f"- Versions: {', '.join(f'{k} {v}' for k, v in protocol['versions'].items())}; "
        f"{measured['device']}.",
    ]
    return "\n\n".join(sections) + "\n"


def to_json(measured: Mapping[str, Any], verdicts: Verdicts, noise_multiple: float) -> dict[str, Any]:
    """Every verdict, its curve and the clean draws it was held against."""
    return {
        "schema": 1,
        "dataset": measured["dataset"],
        "n": measured["n"],
        "noise_multiple": noise_multiple,
        "repetitions": dict(zip(("clean", "disturbed"), _repetitions(measured), strict=True)),
        "protocol": measured["protocol"],
        "metrics": {
            metric: {
                "direction": IMAGES.direction(metric),
                "clean_mean": statistics.fmean(measured["clean"][metric]),
                "clean_sd": statistics.stdev(measured["clean"][metric]),
                "failures": {
                    name: _verdict(verdict, measured["failures"][name], metric)
                    for name, verdict in of.items()
                },
            }
            for metric, of in verdicts.items()
        },
        "sizes": {
            "n": measured["sizes"]["n"],
            "metrics": {
                metric: [{"mean": statistics.fmean(row), "sd": statistics.stdev(row)} for row in rows]
                for metric, rows in measured["sizes"]["values"].items()
            },
        },
    }


def figure(measured: Mapping[str, Any], verdicts: Verdicts, noise_multiple: float) -> bytes:
    """A PNG of small panels, metric by failure: the move towards worse in standard deviations of clean draws.

    The ground of a panel is the verdict: green noticed, yellow at some strengths only, red praised, grey
    blind.
    """
    names = [name for name, failure in measured["failures"].items() if failure["strengths"]]
    metrics = list(verdicts)
    page = Figure(figsize=(1.5 + 1.35 * len(names), 1.2 + 0.8 * len(metrics)), dpi=110)
    FigureCanvasAgg(page)
    panels = page.subplots(len(metrics), len(names), squeeze=False)
    limit = MOST_SHOWN * 1.6
    for i, metric in enumerate(metrics):
        for j, name in enumerate(names):
            panel, verdict = panels[i][j], verdicts[metric][name]
            heights = [0.0, *(_shown(verdict, place) for place in range(len(verdict.shifts)))]
            panel.axhspan(-noise_multiple, noise_multiple, color="white", zorder=0.5, linewidth=0)
            panel.axhline(0, color="#999999", linewidth=0.6, zorder=1)
            panel.plot(range(len(heights)), heights, "-o", color="#1f4e79", markersize=2.5, linewidth=1.1)
            panel.set_facecolor(_ground(verdict))
            panel.set_yscale("symlog", linthresh=noise_multiple)
            panel.set_ylim(-30, limit)
            panel.set_yticks([-noise_multiple, noise_multiple, 100] if j == 0 else [])
            panel.set_yticklabels([f"−{noise_multiple:g}", f"{noise_multiple:g}", "100"] if j == 0 else [])
            panel.minorticks_off()
            panel.tick_params(labelsize=6, length=2, pad=1)
            labels = measured["failures"][name]["labels"]
            panel.set_xticks([])
            panel.text(0.03, 0.93, cell(verdict, labels), fontsize=6.5, transform=panel.transAxes, va="top")
            if i == len(metrics) - 1:
                panel.set_xlabel(f"{labels[0]} … {labels[-1]}", fontsize=7)
            if i == 0:
                panel.set_title(FAILURES[name].title, fontsize=9)
            if j == 0:
                panel.set_ylabel(
                    IMAGES.title(metric),
                    fontsize=8,
                    rotation=0,
                    horizontalalignment="right",
                    verticalalignment="center",
                )
    page.suptitle(
        f"{measured['dataset']}: each metric's move towards worse, in standard deviations of clean draws "
        f"(N = {measured['n']:,}); strength grows to the right",
        fontsize=10,
        y=0.995,
    )
    page.subplots_adjust(
        left=1.5 / page.get_figwidth(),
        right=0.99,
        top=1 - 0.6 / page.get_figheight(),
        bottom=0.3 / page.get_figheight(),
        wspace=0.08,
        hspace=0.12,
    )
    buffer = io.BytesIO()
    page.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _repetitions(measured: Mapping[str, Any]) -> tuple[int, int]:
    """Clean and disturbed ones."""
    n_clean = len(next(iter(measured["clean"].values())))
    curves = [
        rows for failure in measured["failures"].values() for rows in failure["values"].values() if rows
    ]
    return n_clean, len(curves[0][0])


def _verdict(verdict: Verdict, failure: Mapping[str, Any], metric: str) -> dict[str, Any]:
    strengths = failure["strengths"]
    return {
        "detected_from": None if verdict.detected is None else strengths[verdict.detected],
        "noticed_in_passing": [strengths[place] for place in verdict.passing],
        "praised_from": None if verdict.flattered is None else strengths[verdict.flattered],
        "direction": verdict.direction,
        "monotone": verdict.monotone,
        "curve": [
            {
                "strength": strength,
                "label": label,
                "mean": statistics.fmean(values),
                "shift_towards_worse": shift,
                "in_clean_sd": None if verdict.multiples is None else verdict.multiples[place],
            }
            for place, (strength, label, values, shift) in enumerate(
                zip(strengths, failure["labels"], failure["values"][metric], verdict.shifts, strict=True)
            )
        ],
    }


def _in_words(of: Mapping[str, Verdict]) -> str:
    """What a metric notices, is blind to and praises."""
    noticed = [FAILURES[name].title for name, v in of.items() if v.detected is not None or v.passing]
    praised = [
        FAILURES[name].title
        for name, v in of.items()
        if FAILURES[name].title not in noticed and v.flattered is not None
    ]
    blind = [f.title for name in of if (f := FAILURES[name]).title not in (*noticed, *praised)]
    parts = [f"notices {', '.join(noticed)}" if noticed else "notices nothing"]
    parts += [f"is blind to {', '.join(blind)}"] if blind else []
    parts += [f"praises {', '.join(praised)}"] if praised else []
    return "; ".join(parts) + "."


def _size_table(sizes: Mapping[str, Any]) -> str:
    head = ["metric", *(f"N = {n:,}" for n in sizes["n"])]
    rows = []
    for metric, values in sizes["values"].items():
        spreads = [statistics.stdev(row) for row in values]
        typical = statistics.median(spreads) or abs(
            statistics.median(statistics.fmean(row) for row in values)
        )
        digits = min(max(1 - math.floor(math.log10(typical)), 0), 5) if typical else 2
        cells = [
            f"{statistics.fmean(row):.{digits}f} ± {sd:.{digits}f}"
            for row, sd in zip(values, spreads, strict=True)
        ]
        rows.append([IMAGES.title(metric), *(text.replace("-", "−") for text in cells)])
    return _markdown_table(head, rows)


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(verdict: Verdict, place: int) -> float:
    """A height in the figure; a metric without any noise goes to the edge as soon as it moves."""
    if verdict.multiples is None:
        shift = verdict.shifts[place]
        return math.copysign(MOST_SHOWN, shift) if abs(shift) > 1e-9 else 0.0
    return max(-MOST_SHOWN, min(MOST_SHOWN, verdict.multiples[place]))


def _ground(verdict: Verdict) -> str:
    if verdict.detected is not None:
        return NOTICED
    if verdict.passing:
        return PASSING
    return BLIND if verdict.flattered is None else PRAISED
