"""A part of a board: what its leaderboard would take from the report that there is."""

import json
from pathlib import Path

import pytest

from gm_bench.cell import Cell
from gm_bench.running.publishable import would_lose

MISSING = [Cell("long", "ring", variant, seed) for variant in ("gan", "wgan") for seed in (0, 1)]


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
    assert would_lose("long", MISSING) is None


def test_a_report_without_the_missing_cells_is_replaced() -> None:
    _report(json.dumps({"rows": [_row("sngan", 0, 1), _row("gan", 2)]}))
    assert would_lose("long", MISSING) is None


def test_a_report_that_has_a_missing_cell_stays() -> None:
    _report(json.dumps({"rows": [_row("gan", 0), _row("wgan", 0, 1)]}))
    assert would_lose("long", []) is None
    assert would_lose("long", MISSING) == (
        "reports/long/leaderboard.json is left as it is: 3 of its cells (ring/gan/0, …) are missing here, "
        "and gm-bench run --board long makes all"
    )
    assert "ring/wgan/1 is missing here" in str(would_lose("long", MISSING[3:]))


@pytest.mark.parametrize("text", ["", "{}", '{"rows": 3}', '{"rows": [{"dataset": "ring"}]}'])
def test_a_report_that_cannot_be_read_is_replaced_by_a_whole_board_alone(text: str) -> None:
    _report(text)
    with pytest.raises(ValueError, match=r"^reports/long/leaderboard\.json cannot be read .*move it away"):
        would_lose("long", MISSING)
    assert would_lose("long", []) is None
