"""A part of a board: when it is published, and what would be lost if it were."""

import json
from pathlib import Path

import pytest

from gm_bench.cell import Cell
from gm_bench.running.publishable import why_not

OTHERS = [Cell("long", "ring", variant, seed) for variant in ("gan", "wgan") for seed in (0, 1)]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _report(text: str) -> None:
    report = Path("reports/long/leaderboard.json")
    report.parent.mkdir(parents=True)
    report.write_text(text)


def _row(variant: str, *seeds: int) -> dict[str, object]:
    return {"dataset": "ring", "variant": variant, "seeds": list(seeds)}


def test_missing_cells_do_not_keep_a_first_report_back() -> None:
    assert why_not("long", dict.fromkeys(OTHERS, "missing")) is None


def test_a_report_without_the_missing_cells_is_replaced() -> None:
    _report(json.dumps({"rows": [_row("sngan", 0, 1), _row("gan", 2)]}))
    assert why_not("long", dict.fromkeys(OTHERS, "missing")) is None


def test_a_report_that_has_a_missing_cell_stays() -> None:
    _report(json.dumps({"rows": [_row("gan", 0), _row("wgan", 0, 1)]}))
    assert why_not("long", dict.fromkeys(OTHERS, "fresh")) is None
    states = dict(zip(OTHERS, ("missing", "fresh", "missing", "missing"), strict=True))
    assert why_not("long", states) == (
        "reports/long/leaderboard.json is left as it is: 3 cells of it are missing here (ring/gan/0, …); "
        "gm-bench run --board long makes them, gm-bench show prints one cell"
    )


def test_a_stale_cell_is_not_published_among_fresh_ones() -> None:
    states = dict(zip(OTHERS, ("fresh", "stale", "missing", "fresh"), strict=True))
    assert why_not("long", states) == (
        "the leaderboard of long is left as it is: 1 cell is of another recipe, code or data (ring/gan/1); "
        "gm-bench run --board long makes them anew, gm-bench show prints one cell"
    )


@pytest.mark.parametrize("text", ["", "{}", '{"rows": 3}', '{"rows": [{"dataset": "ring"}]}'])
def test_a_report_that_cannot_be_read_is_not_replaced(text: str) -> None:
    _report(text)
    with pytest.raises(ValueError, match=r"^reports/long/leaderboard\.json cannot be read .*move it away"):
        why_not("long", dict.fromkeys(OTHERS, "missing"))
