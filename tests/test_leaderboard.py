"""From rows to the table: values worked by hand, order, outcomes, refusals; and the stage as a whole."""

import csv
import io
import json
import math
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_cells import METRICS, PROTOCOL, protocol, write_cell, write_dataset, write_params
from rich.console import Console

from gm_bench.cell import Cell
from gm_bench.io import FileError
from gm_bench.metrics.catalogue import IMAGES, Catalogue
from gm_bench.report import formatting, tables
from gm_bench.report.page import render
from gm_bench.results import leaderboard, leaderboard_file
from gm_bench.results.aggregation import build
from gm_bench.results.leaderboard import LeaderboardError, Score
from gm_bench.tracks.generation.track import TRACK
from gm_bench.tracks.track import with_notes
from pipelines.leaderboard import main

PLAYERS = {"parameters": {"critic": 100, "generator": 120}, "updates": {"critic": 50, "generator": 10}}


def cell(variant: str, seed: int, fid: float | None, **facts) -> dict:
    """A row of the store; a `fid` of None is a cell that diverged at step 7 + seed."""
    row = {
        "kind": "cell",
        "dataset": "digits",
        "variant": variant,
        "seed": seed,
        "family": "GAN",
        "source": "somebody, some year",
        "status": "diverged" if fid is None else "ok",
        "divergence": None,
        "details": {"density": "", "checkpoint": {"rule": "last"}},
        "protocol": protocol("digits"),
        "network": "mlp",
        "device": "cpu",
        "budget": 6400,
        "run_id": "0",
        "cost/seconds": 10.0 + seed,
        "cost/images": 6400.0,
        "cost/flops": 1e12,
        "cost/peak_memory_bytes": 4e8,
    }
    row |= {f"cost/{name}/{p}": float(n) for name, by_player in PLAYERS.items() for p, n in by_player.items()}
    if fid is None:
        row["divergence"] = {"step": 7 + seed, "player": "critic", "term": "loss", "value": "nan"}
    else:
        row |= {"eval/fid": fid, "eval/precision": 0.5}
    return row | facts


def floor(fid: float = 1.5, **facts) -> dict:
    row = {"kind": "floor", "dataset": "digits", "status": "ok", "protocol": protocol("digits")}
    return row | {"eval/fid": fid, "eval/precision": 0.75, "eval_draw_sd/fid": 0.25} | facts


def board_of(*rows: dict) -> leaderboard.Leaderboard:
    cells = [cell_of(row["variant"], row["seed"]) for row in rows if row["kind"] == "cell"]
    return build(pd.DataFrame(list(rows)), cells, IMAGES)


def cell_of(variant: str, seed: int) -> Cell:
    return Cell("digits", "digits", variant, seed)


def rows_of(board: leaderboard.Leaderboard) -> list[dict]:
    """The rows of leaderboard.json."""
    facts = {key: TRACK.row_facts(board, entry) for key, entry in board.by_key.items()}
    return leaderboard_file.to_json(board, facts)["rows"]


def test_mean_and_spread_between_seeds():
    (row,) = leaderboard_file.to_json(
        board_of(floor(), *(cell("gan", s, v) for s, v in enumerate((1.0, 2.0, 6.0))))
    )["rows"]
    # log values 0, ln 2, ln 6: their sd / √3, times Student's t of 2 degrees at 97.5 %, 4.302653
    h = 4.3026527 * statistics.stdev([0.0, math.log(2), math.log(6)]) / 3**0.5
    # mean 9/3 = 3; squared deviations 4 + 1 + 9 = 14, divided by n − 1 = 2: sd √7
    assert row["metrics"]["fid"] == {
        "mean": 3.0,
        "sd": pytest.approx(7**0.5, rel=1e-12),  # one rounding of the root
        "n": 3,
        "values": [1.0, 2.0, 6.0],
        "draw_sd": None,
        "interval": pytest.approx([3 * math.exp(-h), 3 * math.exp(h)], rel=1e-6),
    }
    assert row["seeds"] == [0, 1, 2]
    assert row["status"] == "ok"


def test_one_seed_has_no_spread():
    (row,) = leaderboard_file.to_json(board_of(floor(), cell("gan", 4, 2.5)))["rows"]
    assert row["metrics"]["fid"] == {
        "mean": 2.5,
        "sd": None,
        "n": 1,
        "values": [2.5],
        "draw_sd": None,
        "interval": None,
    }
    assert row["rank"] is None, "nothing is known of the noise"


def test_without_a_second_seed_no_rank_and_no_spread_is_explained() -> None:
    one, two = (cell("gan", 0, 2.5), cell("vae", 0, 9.0)), cell("gan", 1, 3.5)
    alone, (first, second, *_) = (
        tables.in_words(board_of(floor(), *rows), "digits", TRACK) for rows in (one, (*one, two))
    )
    assert alone[0].startswith("±: not known, since no variant has a second seed")
    assert not any(line.startswith("Rank: ") for line in alone)
    assert first.startswith("±: standard deviation between seeds (n = 1, 2)")
    assert second.startswith("Rank: by FID")


def test_spread_between_draws_is_pooled_over_seeds():
    """Root mean square of 3 and 4: √12.5."""
    rows = [cell("gan", seed, 9.0 + seed) | {"eval_draw_sd/fid": sd} for seed, sd in ((0, 3.0), (1, 4.0))]
    (row,) = leaderboard_file.to_json(board_of(floor(), *rows))["rows"]
    assert row["metrics"]["fid"]["draw_sd"] == pytest.approx(12.5**0.5)


def test_rows_within_noise_share_a_rank():
    values = {"a": (10.0, 10.5, 11.0), "b": (10.2, 10.4, 11.1), "c": (30.0, 31.0, 32.0)}
    board = board_of(floor(), *(cell(v, s, x) for v, xs in values.items() for s, x in enumerate(xs)))
    assert [(e.variant, e.rank) for e in board.entries["digits"]] == [("a", 1), ("b", 1), ("c", 3)]
    text = tables.to_markdown(board, TRACK)
    assert "| 1 | a | GAN | 10.5" in text
    assert "| 3 | c | GAN | 31.0" in text


def test_costs_are_means_over_seeds():
    (row,) = leaderboard_file.to_json(board_of(floor(), cell("gan", 0, 1.0), cell("gan", 1, 2.0)))["rows"]
    assert row["cost"]["seconds"] == 10.5
    assert row["cost"]["images"] == 6400
    assert row["cost"]["budget"] == 6400
    assert row["cost"]["flops"] == 10**12
    assert row["cost"]["device"] == "cpu"
    assert {name: row["cost"][name] for name in PLAYERS} == PLAYERS


def test_speeds_keep_their_decimals_and_devices_are_all_named():
    speeds = ((0, 10.25, "cuda"), (1, 11.0, "cpu"))
    rows = [cell("gan", s, 1.0, device=device, **{"cost/images_per_second": n}) for s, n, device in speeds]
    cost = board_of(floor(), *rows).by_key["digits", "gan"].cost
    assert (cost["images_per_second"], cost["device"]) == (10.625, "cpu and cuda")


def test_players_stand_in_the_order_of_their_names():
    row = cell("gan", 0, 1.0)
    row |= {name: row.pop(name) for name in ("cost/updates/critic", "cost/parameters/critic")}
    cost = board_of(floor(), row).by_key["digits", "gan"].cost
    assert [list(cost[group]) for group in PLAYERS] == [["critic", "generator"]] * 2


def test_seeds_stand_in_order_whatever_that_of_the_grid():
    board = board_of(floor(), *(cell("gan", seed, 1.0 + seed) for seed in (2, 0, 1)))
    entry = board.by_key["digits", "gan"]
    assert (entry.seeds, entry.metrics["fid"].values) == ((0, 1, 2), (1.0, 2.0, 3.0))


def test_order_is_by_fid_whatever_the_order_of_rows_and_grid():
    board = board_of(
        cell("wgan", 0, 30.0), cell("vae", 0, 20.0), floor(), cell("gan", 0, None), cell("lsgan", 0, 10.0)
    )
    assert [entry.variant for entry in board.entries["digits"]] == ["lsgan", "vae", "wgan", "gan"]


def test_order_is_by_what_is_better_in_the_metric_of_the_catalogue():
    rows = [cell(name, 0, 1.0, **{"eval/precision": p}) for name, p in (("a", 0.5), ("b", 0.9), ("c", 0.7))]
    cells = [cell_of(row["variant"], 0) for row in rows]
    board = build(pd.DataFrame([floor(), *rows]), cells, Catalogue(list(IMAGES), order_by="precision"))
    assert [entry.variant for entry in board.entries["digits"]] == ["b", "c", "a"]


def test_an_interval_of_a_value_without_a_logarithm_is_by_differences():
    """Of -.001, 0 and .001: t(2, 97.5 %) · .001 / √3 on either side."""
    rows = [cell("gan", seed, 10.0 + seed, **{"eval/kid": (seed - 1) / 1000}) for seed in range(3)]
    score = board_of(floor(), *rows).by_key["digits", "gan"].metrics["kid"]
    half = 4.3026527 * 0.001 / 3**0.5
    assert score.interval == pytest.approx((-half, half), rel=1e-6)


def test_floor_stands_first_in_every_form():
    board = board_of(cell("gan", 0, 1.0), floor(fid=2.0))
    table = [line for line in tables.to_markdown(board, TRACK).splitlines() if line.startswith("| ")]
    assert table[2].startswith("| – | floor | real images | 2.0")
    assert next(csv.DictReader(io.StringIO(leaderboard_file.to_csv(board))))["variant"] == "floor"
    assert plain(board).index("floor") < plain(board).index("gan")


def test_a_diverged_seed_is_told_and_left_out_of_the_numbers():
    board = board_of(floor(), cell("gan", 0, 1.0), cell("gan", 1, 3.0), cell("gan", 2, None))
    (row,) = leaderboard_file.to_json(board)["rows"]
    assert row["status"] == "partly diverged"
    assert row["seeds"] == [0, 1, 2]
    assert row["metrics"]["fid"]["values"] == [1.0, 3.0]
    assert row["cost"]["seconds"] == 10.5, "of the seeds that finished: (10 + 11) / 2"
    told = "gan: 1 of 3 seeds diverged, seed 2 at step 9 (critic loss); its numbers are of the other 2."
    assert told in tables.notes(board, "digits", TRACK)
    assert "| 2 of 3 |" in tables.to_markdown(board, TRACK)


def test_a_variant_that_diverged_in_all_seeds_is_a_row():
    board = board_of(
        floor(), cell("gan", 0, None), cell("gan", 1, None), cell("vae", 0, 5.0), cell("vae", 1, 6.0)
    )
    rows = leaderboard_file.to_json(board)["rows"]
    assert [row["variant"] for row in rows] == ["vae", "gan"]
    assert rows[1]["status"] == "diverged"
    assert rows[1]["metrics"] == {}
    assert "| – | gan | GAN | diverged at step 7 (critic loss) | – |" in tables.to_markdown(board, TRACK)
    told = "gan: 2 of 2 seeds diverged, earliest seed 0 at step 7 (critic loss)."
    assert told in tables.notes(board, "digits", TRACK)


def test_unequal_protocols_are_refused_with_the_first_difference():
    other = protocol("digits") | {"n_samples": 500}
    with pytest.raises(LeaderboardError, match=r"digits/vae/0 cannot .* n_samples is 500 against 800"):
        board_of(floor(), cell("gan", 0, 1.0), cell("vae", 0, 1.0, protocol=other))


def test_only_other_versions_are_put_down_to_a_pack():
    versions = {**protocol("digits")["versions"], "torch": "1.0"}
    for other, ends in (({"n_samples": 500}, "under one protocol"), ({"versions": versions}, "boards.md)")):
        with pytest.raises(LeaderboardError) as refused:
            board_of(floor(), cell("vae", 0, 1.0, protocol=protocol("digits") | other))
        assert str(refused.value).endswith(ends)


def test_extractors_are_never_mixed_in_a_table():
    """Other features are another scale: of another network, and of the same one that sees otherwise."""
    network = {
        "name": "efficientnet_lite0",
        "sha256": "cd" * 32,
        "features": 1280,
        "comparable": "everywhere",
    }
    for other, told in (
        ({"extractor": network}, "extractor.name is efficientnet_lite0 against lenet"),
        ({"extractor": PROTOCOL["extractor"] | {"sha256": "cd" * 32}}, "extractor.sha256 is cdcd"),
        ({"preprocessing": "uint8, 8×8 enlarged to 96×96"}, "preprocessing is uint8, 8×8 enlarged to 96×96"),
    ):
        with pytest.raises(LeaderboardError, match=f"digits/vae/0 cannot .* {told}"):
            board_of(floor(), cell("gan", 0, 1.0), cell("vae", 0, 1.0, protocol=protocol("digits") | other))


def test_a_sentence_of_a_dataset_stands_first_on_its_board():
    board = board_of(floor(), cell("gan", 0, 1.0))
    assert tables.notes(board, "digits", TRACK) == []
    track = with_notes(TRACK, {"digits": "A lossy copy.", "mnist": "Another."})
    assert tables.notes(board, "digits", track) == ["A lossy copy."]
    assert "\n\n- A lossy copy.\n- " in tables.to_markdown(board, track)
    assert tables.notes(board, "digits", with_notes(TRACK, {"digits": ""})) == []


def test_a_missing_or_doubled_cell_is_named():
    rows = pd.DataFrame([floor(), cell("gan", 0, 1.0)])
    with pytest.raises(LeaderboardError, match="cell digits/gan/1 is missing"):
        build(rows, [cell_of("gan", 0), cell_of("gan", 1)], IMAGES)
    with pytest.raises(LeaderboardError, match="floor of digits is missing"):
        build(pd.DataFrame([cell("gan", 0, 1.0)]), [cell_of("gan", 0)], IMAGES)
    with pytest.raises(LeaderboardError, match="cell digits/gan/0 stands 2 times"):
        board_of(floor(), cell("gan", 0, 1.0), cell("gan", 0, 1.0))
    with pytest.raises(LeaderboardError, match="floor of digits is missing"):
        build(pd.DataFrame(), [cell_of("gan", 0)], IMAGES)


def test_cells_outside_the_grid_do_not_count():
    rows = pd.DataFrame([floor(), cell("gan", 0, 1.0), cell("gan", 1, 99.0), cell("wgan", 0, 0.1)])
    board = build(rows, [cell_of("gan", 0)], IMAGES)
    assert [(entry.variant, entry.seeds) for entry in board.entries["digits"]] == [("gan", (0,))]


def test_every_form_holds_the_same_numbers():
    board = board_of(
        floor(), *(cell("gan", s, v) for s, v in enumerate((10.0, 12.0, 14.0))), cell("vae", 0, 20.0)
    )
    rows = {row["variant"]: row for row in rows_of(board)}
    lines = {line["variant"]: line for line in csv.DictReader(io.StringIO(leaderboard_file.to_csv(board)))}
    assert (
        float(lines["floor"]["fid_mean"]) == leaderboard_file.to_json(board)["floors"]["digits"]["fid"] == 1.5
    )
    for variant, row in rows.items():
        for metric, score in row["metrics"].items():
            assert float(lines[variant][f"{metric}_mean"]) == score["mean"]
            assert lines[variant][f"{metric}_sd"] == ("" if score["sd"] is None else str(score["sd"]))
        assert float(lines[variant]["seconds"]) == row["cost"]["seconds"]
        assert int(lines[variant]["n_parameters"]) == 220
    # sd of 10, 12, 14 is 2: two figures of it are one decimal
    assert "| gan | GAN | 12.0 ±\u00a02.0 |" in tables.to_markdown(board, TRACK)
    assert "| vae | GAN | 20.0 |" in tables.to_markdown(board, TRACK)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(10.0, 10.8), (50.0, 50.8)], "10.40 ±\u00a00.57"),  # both sd .57
        ([(100.0, 124.0), (10.0, 14.0)], "112.0 ±\u00a017.0"),  # sd 17 and 2.8, median 9.9
        ([(0.0011, 0.0013), (0.0051, 0.0053)], "0.00120 ±\u00a00.00014"),
        ([(12.345,), (7.1,)], "12.35"),  # no spread: three figures of the median, 9.7
        ([(1234567.0, 1234569.0), (1.0, 3.0)], "1,234,568.0 ±\u00a01.4"),
        # one tiny spread does not widen the column, and is not shown as none
        ([(-0.0001, 0.00009), (1.0, 3.0), (1.0, 3.0)], "0.0 ±\u00a0<\u00a00.1"),
        ([(0.5, 0.5), (1.0, 3.0), (1.0, 3.0)], "0.5 ±\u00a00.0"),
        ([(1e-9, 2e-9)], "0.000000 ±\u00a0<\u00a00.000001"),  # six decimals at most
    ],
)
def test_decimals_let_the_spread_be_read(values, expected):
    entries = [
        leaderboard.Entry("digits", f"v{i}", "GAN", "", tuple(range(len(v))), len(v), {"fid": Score(v)}, {})
        for i, v in enumerate(values)
    ]
    assert formatting.score_text(entries[0].metrics["fid"], formatting.decimals(entries, "fid")) == expected


def test_the_numbers_for_dvc_are_means_of_the_main_metrics():
    rows = [cell("gan", seed, fid, **{"eval/coverage": 0.5}) for seed, fid in enumerate((1.0, 2.0, 6.0))]
    assert leaderboard_file.to_metrics(board_of(floor(), *rows, cell("vae", 0, None))) == {
        "digits": {"floor": {"fid": 1.5, "precision": 0.75}, "gan": {"fid": 3.0, "precision": 0.5}, "vae": {}}
    }


def test_the_floor_has_its_spread():
    board = board_of(floor(fid=1.5), cell("gan", 0, 10.0), cell("gan", 1, 11.0))
    told = leaderboard_file.to_json(board)
    assert told["floors"]["digits"] == {"fid": 1.5, "precision": 0.75}
    assert told["floor_sd"]["digits"] == {"fid": 0.25}
    line = next(csv.DictReader(io.StringIO(leaderboard_file.to_csv(board))))
    assert (line["fid_mean"], line["fid_sd"], line["precision_sd"]) == ("1.5", "0.25", "")
    assert "| floor | real images | 1.50 ±\u00a00.25 |" in tables.to_markdown(board, TRACK)
    assert "1.50 ±0.25" in plain(board)
    said = "Its ± is over 10 random splits of the same 1,607 training and held-out images, mixed"
    assert said in tables.to_markdown(board, TRACK)
    assert formatting.floor_text(0.5, 1, 0.003) == "0.500 ±\u00a00.003"
    assert formatting.floor_text(0.5, 1, 0.0) == "0.50 ±\u00a00.00"


def reported(rule: str, **more: int) -> dict:
    return {"density": "", "checkpoint": {"rule": rule, **more}}


def test_a_picked_snapshot_is_marked():
    best = [
        cell("wgan", seed, 10.0 + seed, details=reported("best", images=3200 * (1 + seed))) for seed in (0, 1)
    ]
    board = board_of(floor(), *best, cell("gan", 0, 20.0), cell("gan", 1, None, details=reported("best")))
    rows = {row["variant"]: row for row in rows_of(board)}
    assert rows["wgan"]["checkpoint"] == {"rule": "best", "images": [3200, 6400]}
    assert rows["gan"]["checkpoint"] == {"rule": "last"}
    diverged = board_of(floor(), cell("wgan", 0, None, details=reported("best")))
    assert rows_of(diverged)[0]["checkpoint"] == {"rule": "best"}
    text = tables.to_markdown(board, TRACK)
    assert "| wgan\\* | GAN |" in text
    assert "| gan | GAN |" in text
    assert "is reported, after 3,200 images (seed 0), 6,400 images (seed 1), and not the last model." in text
    assert "wgan*" in plain(board)
    assert "gan*" not in plain(board_of(floor(), cell("gan", 0, 20.0)))


def test_likelihoods_of_one_kind_carry_one_sign():
    def details(density: str) -> dict:
        return {"density": density, "checkpoint": {"rule": "last"}}

    def likely(variant: str, seed: int, elbo: float, density: str) -> dict:
        more = {"eval/elbo": elbo, "eval/iw_bound": elbo + 1, "details": details(density)}
        return cell(variant, seed, 10.0, **more)

    gaussian, bernoulli = "density, Gaussian decoder", "probability, Bernoulli decoder"
    board = board_of(
        floor(),
        likely("vae", 0, -20.0, gaussian),
        likely("beta_vae", 0, -30.0, gaussian),
        likely("vae_bernoulli", 0, -15.0, bernoulli),
        cell("gan", 0, 9.0),
        cell("cvae", 0, None, details=details(gaussian)),
    )
    marks = {"vae": "ᵃ", "beta_vae": "ᵃ", "vae_bernoulli": "ᵇ"}
    assert TRACK.marks(board, "digits") == {
        (variant, metric): mark for variant, mark in marks.items() for metric in ("elbo", "iw_bound")
    }
    text = tables.to_markdown(board, TRACK)
    assert "| vae | −20.0ᵃ | −19.0ᵃ |" in text
    assert "| vae_bernoulli | −15.0ᵇ | −14.0ᵇ |" in text
    assert "| gan | – | – |" in text
    assert "mean over 800 test images with 64 codes each, in nats per image" in text
    assert f"ᵃ {gaussian}: beta_vae, vae; ᵇ {bernoulli}: vae_bernoulli." in text
    rows = {row["variant"]: row for row in rows_of(board)}
    assert rows["vae"]["density"] == gaussian
    assert rows["gan"]["density"] == ""
    assert rows["vae"]["metrics"]["iw_bound"]["mean"] == -19.0
    assert "Likelihood" not in tables.to_markdown(board_of(floor(), cell("gan", 0, 1.0)), TRACK)


def test_numbers_in_words():
    assert formatting.number(-0.00001, 3) == "0.000"
    assert formatting.number(-0.5, 1) == "−0.5"
    assert formatting.floor_text(0.0123, 1) == "0.012", (
        "a floor far below the models is not rounded to nothing"
    )
    assert formatting.floor_text(None, 1) == "–"
    assert formatting.duration(12.34) == "12.3 s"
    assert formatting.duration(245) == "4 min 05 s"
    assert formatting.duration(7620) == "2 h 07 min"
    assert formatting.duration(60) == "1 min 00 s"
    assert formatting.duration(119.6) == "2 min 00 s"
    assert formatting.duration(3599.7) == "1 h 00 min"
    assert formatting.duration(7170) == "2 h 00 min"
    assert [formatting.count(n, "draw") for n in (0, 1, 1200)] == ["0 draws", "1 draw", "1,200 draws"]
    assert formatting.interval_text(Score((1.0, 2.0), interval=(-10.06, 1451.0)), 1) == "−10.1 to 1,451.0"
    assert formatting.interval_text(Score((1.0,)), 1) == "–"


def test_the_protocol_is_said_under_the_table():
    text = tables.to_markdown(board_of(floor(), cell("gan", 0, 1.0), cell("gan", 1, 1.0)), TRACK)
    for part in (
        "N = 800",
        "3 independent draws",
        "test split",
        "sha256 abababababab",
        "standard deviation between seeds (n = 2)",
        "the same metrics of as many real training images in place of samples",
        "FID ↓",
        "Precision ↑",
        "torch 2.15.0",
    ):
        assert part in text, part
    among = protocol("digits")
    among["extractor"]["comparable"] = "among themselves"
    board = board_of(floor(protocol=among), cell("gan", 0, 1.0, protocol=among))
    assert "numbers comparable among themselves only" in tables.to_markdown(board, TRACK)


def test_nothing_of_a_line_is_read_as_markup():
    assert formatting.markdown("R&D \\ [a](b)\n_x_ a_b `c`") == r"R\&D \\ \[a\](b) \_x\_ a_b \`c\`"


def test_nothing_in_a_name_is_read_as_markup():
    board = board_of(floor(), cell("wgan_gp", 0, 1.0, family="a|b <i>*c*</i> [bold]d[/bold]"))
    assert r"a\|b \<i\>\*c\*\</i\> \[bold\]d\[/bold\]" in tables.to_markdown(board, TRACK)
    assert "| wgan_gp |" in tables.to_markdown(board, TRACK)
    assert "[bold]d[/bold]" in plain(board)


def plain(board: leaderboard.Leaderboard) -> str:
    console = Console(width=200, file=io.StringIO())
    for table in tables.rich_tables(board, TRACK):
        console.print(table)
    return console.file.getvalue()


# The stage, from artefacts to files.


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A working folder where every cell of a small grid is finished; one seed diverged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_params(tmp_path, ["vae", "wgan"])
    write_dataset(tmp_path)
    write_cell(tmp_path, "vae", 0, fid=(40.0, 41.0, 42.0))
    write_cell(tmp_path, "vae", 1, fid=(43.0, 44.0, 45.0))
    write_cell(tmp_path, "wgan", 0, fid=(20.1, 20.2, 20.4))
    write_cell(tmp_path, "wgan", 1, diverged_at=77)
    return tmp_path


def use_store(monkeypatch, folder) -> None:
    """A new folder for the store: MLflow keeps one engine per address in a process."""
    folder.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_stage_writes_what_the_cells_say(finished, monkeypatch, capsys):
    use_store(monkeypatch, finished / "store")
    main("digits")
    told = json.loads((finished / "reports/digits/leaderboard.json").read_text())
    assert sorted(told) == ["board", "floor_sd", "floors", "protocol", "rows", "schema", "track"]
    assert (told["schema"], told["board"], told["track"]) == (1, "digits", "generation")
    assert told["protocol"] == {"digits": protocol("digits")}
    assert told["floors"]["digits"]["fid"] == 0.25
    assert sorted(told["floors"]["digits"]) == sorted(METRICS)
    wgan, vae = told["rows"]
    assert told["floor_sd"] == {"digits": {"fid": 0.125}}
    assert sorted(vae) == [
        "checkpoint",
        "cost",
        "dataset",
        "density",
        "diverged",
        "family",
        "metrics",
        "rank",
        "seeds",
        "status",
        "variant",
    ]
    assert (wgan["variant"], wgan["status"]) == ("wgan", "partly diverged")
    assert (wgan["diverged"], vae["diverged"]) == ([1], [])
    assert wgan["metrics"]["fid"]["values"] == [statistics.fmean((20.1, 20.2, 20.4))], "to the last bit"
    assert vae["metrics"]["fid"]["mean"] == 42.5
    assert list(vae["metrics"]) == list(METRICS)
    shown = capsys.readouterr().out
    assert "42.5 ±2.1" in shown  # sd of 41 and 44: 3/√2
    assert "reports/digits/leaderboard.html" in shown
    for suffix in ("md", "csv", "html"):
        assert (finished / f"reports/digits/leaderboard.{suffix}").stat().st_size > 500

    first = contents(finished / "reports")
    main("digits")
    assert contents(finished / "reports") == first
    use_store(monkeypatch, finished / "rebuilt")
    main("digits")
    assert contents(finished / "reports") == first


def test_the_stage_names_what_is_missing(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    (finished / "runs/digits/digits/wgan/1/cost.json").unlink()
    with pytest.raises(FileError, match=r"runs/digits/digits/wgan/1/cost\.json not found"):
        main("digits")


def test_the_stage_publishes_what_was_made(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    shutil.rmtree(finished / "runs/digits/digits/wgan/1")
    main("digits")
    content = json.loads((finished / "reports/digits/leaderboard.json").read_text())
    assert content["missing"] == ["digits/wgan/1"]
    assert {row["variant"]: row["seeds"] for row in content["rows"]} == {"vae": [0, 1], "wgan": [0]}
    shutil.rmtree(finished / "runs/digits")
    with pytest.raises(LeaderboardError, match="no cell of digits was made yet: gm-bench run --board digits"):
        main("digits")


def test_the_stage_writes_a_part_beside_a_report_that_has_more(finished, monkeypatch, capsys):
    use_store(monkeypatch, finished / "store")
    main("digits")
    before = {path: path.read_bytes() for path in finished.glob("reports/**/*") if path.is_file()}
    shutil.rmtree(finished / "runs/digits/digits/wgan/1")
    capsys.readouterr()
    main("digits")
    said = " ".join(capsys.readouterr().out.split())
    assert "Not measured yet: 1 of the 4 cells of digits: wgan seed 1." in said
    assert "reports/digits/leaderboard.json is left as it is: digits/wgan/1 is missing here, and gm-b" in said
    assert "written: reports/digits/part/leaderboard.html, .md" in said
    part = finished / "reports/digits/part"
    assert json.loads((part / "leaderboard.json").read_text())["missing"] == ["digits/wgan/1"]
    assert "cells/digits-wgan-0.html" in (part / "leaderboard.html").read_text()
    assert (part / "cells/digits-wgan-0.html").exists()
    shutil.rmtree(part)
    assert {path: path.read_bytes() for path in finished.glob("reports/**/*") if path.is_file()} == before


def test_the_report_of_a_part_goes_once_the_board_is_published_again(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    main("digits")
    cell, part = finished / "runs/digits/digits/wgan/1", finished / "reports/digits/part"
    for note in ([], ["cells/mine.txt", "figures/mine.txt", "mine.txt"]):
        cell.rename(finished / "away")
        main("digits")
        for name in note:
            (part / name).write_text("mine")
        assert (part / "leaderboard.html").is_file()
        (finished / "away").rename(cell)
        main("digits")
        assert part.exists() == bool(note)
        left = sorted(str(path.relative_to(part)) for path in part.glob("**/*") if path.is_file())
        assert left == note, "what is the user's stays"


def test_of_what_lies_beside_figures_and_pages_only_those_of_earlier_reports_go(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    main("digits")
    for folder, earlier in (("figures", "digits-old.svg"), ("cells", "digits-old-0.html")):
        place = finished / "reports/digits" / folder
        (place / ".ipynb_checkpoints").mkdir()
        (place / ".ipynb_checkpoints/0.csv").write_text("mine")
        (place / "mine.svg").mkdir()
        (place / "mine.txt").write_text("mine")
        (place / earlier).write_text("an earlier report")
        before = {path.name for path in place.iterdir()}
        main("digits")
        assert before - {path.name for path in place.iterdir()} == {earlier}
        assert (place / ".ipynb_checkpoints/0.csv").is_file()


def test_the_stage_says_where_it_cannot_write(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    (finished / "reports").write_text("a file where the folder should be")
    with pytest.raises(FileError, match=r"cannot write reports/digits/leaderboard"):
        main("digits")


def test_the_page_has_its_pictures_charts_and_pages_of_cells(finished, monkeypatch):
    use_store(monkeypatch, finished / "store")
    main("digits")
    page = (finished / "reports/digits/leaderboard.html").read_text()
    # Real images, and of vae 0 and wgan 0 a film and the pairs nearest to training images.
    assert page.count('src="data:image/webp;base64,') == 5
    assert sorted(path.name for path in (finished / "reports/digits/cells").iterdir()) == [
        "digits-vae-0.html",
        "digits-vae-1.html",
        "digits-wgan-0.html",
        "digits-wgan-1.html",
    ]
    figures = {path.name for path in (finished / "reports/digits/figures").iterdir()}
    assert set(re.findall(r'href="figures/([^"]+)"', page)) <= figures
    assert "digits-fid.svg" in figures


@pytest.mark.parametrize(
    ("metric", "n_seeds", "why"),
    [
        ("precision", 2, "digits/gan/0 has it"),
        ("precision", 1, "the floor has it"),
        ("fid", 2, "digits/gan/0 has it"),
        ("fid", 1, "the floor has it"),
    ],
)
def test_a_finished_cell_without_a_metric_stops_the_leaderboard(metric, n_seeds, why):
    """NaN is how a column that a row does not have comes out of a DataFrame."""
    rows = [cell("gan", seed, 1.0 + seed) for seed in range(n_seeds)]
    rows[-1] |= {f"eval/{metric}": math.nan}
    sentence = (
        f"cell digits/gan/{n_seeds - 1} finished without {metric}, but {why}: delete its metrics.json, and"
    )
    with pytest.raises(LeaderboardError, match=sentence):
        board_of(floor(), cell("vae", 0, 9.0), *rows)


def test_what_tables_are_ordered_by_is_asked_of_every_cell():
    with pytest.raises(LeaderboardError, match="gan/0 finished without fid, but tables are ordered by it"):
        board_of(floor(fid=math.nan), cell("gan", 0, 1.0) | {"eval/fid": math.nan})


def test_what_only_some_variants_have_is_asked_of_their_seeds_alone():
    rows = [cell("vae", 0, 1.0, **{"eval/elbo": -5.0}), cell("vae", 1, 2.0), cell("gan", 0, 3.0)]
    with pytest.raises(LeaderboardError, match="digits/vae/1 finished without elbo, but digits/vae/0 has it"):
        board_of(floor(), *rows)
    board = board_of(floor(), rows[0], rows[2])
    assert "elbo" not in board.by_key["digits", "gan"].metrics


def test_a_diverged_cell_needs_no_metrics():
    board = board_of(floor(), cell("gan", 0, 1.0), cell("gan", 1, None))
    assert board.by_key["digits", "gan"].n_finished == 1


def test_a_leaderboard_survives_its_file():
    board = board_of(floor(), *(cell("gan", s, v) for s, v in enumerate((10.0, 12.0, 14.0))))
    content = json.loads(json.dumps(leaderboard_file.to_json(board)))
    again = leaderboard_file.from_json(content, "leaderboard.json", IMAGES)
    assert leaderboard_file.to_json(again) == leaderboard_file.to_json(board)
    assert "missing" not in content

    part = replace(
        board, name="long", missing=(Cell("long", "digits", "gan", 3), Cell("long", "ring", "gan", 0))
    )
    content = json.loads(json.dumps(leaderboard_file.to_json(part)))
    assert content["missing"] == ["digits/gan/3", "ring/gan/0"]
    assert leaderboard_file.from_json(content, "leaderboard.json", IMAGES).missing == part.missing


def test_a_board_in_the_making_says_what_is_missing():
    board = board_of(floor(), *(cell("gan", s, v) for s, v in enumerate((10.0, 12.0))), cell("vae", 0, 20.0))
    assert tables.missing_in_words(board) == []
    names = [("digits", "vae", 1), ("digits", "vae", 2), ("digits", "wgan", 0), ("digits", "gan", 2)]
    names += [("digits", "wgan", 1), ("digits", "wgan", 2), ("ring", "gan", 0), ("ring", "vae", 0)]
    part = replace(board, missing=tuple(Cell("long", *name) for name in names))
    said = [
        "Not measured yet: 6 of the 9 cells of digits: vae seed 1, 2; wgan seed 0, 1, 2; gan seed 2.",
        "Not measured yet: 2 of the 2 cells of ring.",
    ]
    assert tables.missing_in_words(part) == said
    assert tables.to_markdown(part, TRACK).startswith(
        "# Leaderboard\n\n" + "\n\n".join(said) + "\n\n## digits\n"
    )
    assert tables.to_markdown(board, TRACK).startswith("# Leaderboard\n\n## digits\n")
    page = render(part, [], TRACK, {})
    assert all(f"<li>{sentence}</li>" in page for sentence in said)
    assert "Not measured yet" not in render(board, [], TRACK, {})


@pytest.mark.parametrize("name", ["digits", "all", "mnist_cpu", "fashion_mnist_cpu"])
def test_committed_numbers_come_out_again(name):
    """Ranks, intervals and means of the committed tables, from their values alone, to the last bit."""
    committed = json.loads((Path(__file__).parents[1] / f"reports/{name}/leaderboard.json").read_text())
    rows, cells = [], []
    for dataset, values in committed["floors"].items():
        rows.append({"kind": "floor", "dataset": dataset, "status": "ok", "protocol": {}})
        rows[-1] |= {f"eval/{metric}": value for metric, value in values.items()}
    for row in committed["rows"]:
        for i, seed in enumerate(row["seeds"]):
            made = cell(row["variant"], seed, 1.0, dataset=row["dataset"], protocol={})
            del made["eval/precision"]
            if row["metrics"]:
                made |= {f"eval/{metric}": score["values"][i] for metric, score in row["metrics"].items()}
            else:
                made |= {"status": "diverged", "divergence": {"step": 1}, "eval/fid": math.nan}
            made = {key: value for key, value in made.items() if not key.startswith("cost/updates/")}
            made |= {f"cost/updates/{player}": n for player, n in row["cost"]["updates"].items()}
            rows.append(made)
            cells.append(Cell(name, row["dataset"], row["variant"], seed))
    told = leaderboard_file.to_json(build(pd.DataFrame(rows), cells, IMAGES))
    for ours, theirs in zip(told["rows"], committed["rows"], strict=True):
        assert (ours["variant"], ours["rank"]) == (theirs["variant"], theirs["rank"])
        for metric, score in theirs["metrics"].items():
            for part in ("mean", "sd", "values", "interval"):
                assert ours["metrics"][metric][part] == score[part], (ours["variant"], metric, part)


def test_an_interval_ends_where_there_can_be_no_values():
    cells = [cell("gan", seed, 10.0, **{"eval/precision": p}) for seed, p in enumerate((0.95, 1.0, 0.99))]
    low, high = board_of(floor(), *cells).entries["digits"][0].metrics["precision"].interval
    assert high == 1.0
    assert 0.9 < low < 0.95
