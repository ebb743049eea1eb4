"""`gm-bench check`, `compare` and `show` as a user meets them: exit codes, sentences, Markdown."""

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fake_cells import write_cell
from test_regression import content, row
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.cell import Cell, parse_cell
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.report import gate as comparison
from gm_bench.results.comparing import Comparison, Verdict
from gm_bench.running import runner


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def leaderboard(*rows: dict[str, Any], **changes: Any) -> None:
    Path("reports/digits").mkdir(parents=True, exist_ok=True)
    Path("reports/digits/leaderboard.json").write_text(json.dumps(content(*rows) | changes))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def accepted(*rows: dict[str, Any]) -> None:
    leaderboard(*rows)
    assert command("check", "--update").exit_code == 0


def test_exit_codes_tell_good_bad_and_incomparable_apart() -> None:
    accepted()
    good = command("check")
    assert good.exit_code == 0
    assert "Passed: 0 worse, 0 better, 0 within noise; unchanged: digits/vae, digits/gan." in good.output
    lines = [line.split() for line in good.output.splitlines()]
    assert ["digits", "gan", "all", "unchanged"] in lines
    leaderboard(row("vae", fid=(10.5, 10.0, 11.0)), row("gan"))
    assert "Passed: 0 worse, 0 better, 4 within noise; unchanged: digits/gan." in command("check").output
    leaderboard(row("vae", fid=(40.0, 41.0, 42.0)), row("gan"))
    bad = command("check")
    assert bad.exit_code == 1
    assert "Regression: " in bad.output
    leaderboard(protocol={"digits": {"n_samples": 400}})
    other = command("check")
    assert other.exit_code == 2
    assert (
        "cannot compare: digits/vae cannot be compared with the baseline: n_samples is 800 against 400"
        in (other.output)
    )


def test_the_summary_says_what_failed_first(tmp_path: Path) -> None:
    accepted()
    leaderboard(row("vae", fid=(40.0, 41.0, 42.0)))
    assert command("check", "--summary", "summary.md").exit_code == 1
    text = Path("summary.md").read_text()
    top, _, folded = text.partition("<details>")
    assert "- digits/gan is missing: the baseline has it with 3 seeds." in top
    # Geometric means of the seeds: ∛(40 · 41 · 42 / (10 · 10.5 · 11)) = 3.907.
    assert "| digits | vae | FID ↓ | 10.50 | 41.00 | +290.7 % |" in top
    assert "| digits | vae | Recall ↑ | 0.520 | 0.520 | 0.000 |" in folded
    assert "| 3, 3 |  |" in folded
    leaderboard(protocol={"digits": {"n_samples": 400}})
    assert command("check", "--summary", "summary.md").exit_code == 2
    assert "Cannot compare: digits/vae cannot be compared" in Path("summary.md").read_text()


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda: None, "reports/digits/leaderboard.json is not there: gm-bench run --board NAME writes"),
        (leaderboard, "reports/digits/baseline.json is not there: gm-bench check --update makes it"),
        (lambda: (leaderboard(), Path("reports/digits/baseline.json").write_text("{}")), "is no leaderboard"),
        (lambda: (leaderboard(), Path("reports/digits/baseline.json").write_text('{"schema"')), "is damaged"),
    ],
)
def test_without_two_sides_there_is_one_sentence_and_code_2(prepare: Any, sentence: str) -> None:
    prepare()
    refused = command("check")
    assert refused.exit_code == 2
    assert sentence in refused.output
    assert refused.output.count("\n") == 1


def test_a_baseline_of_single_seeds_is_refused() -> None:
    leaderboard(row("a", (0,), fid=(10.0,), one_nn=(0.7,), precision=(0.6,), recall=(0.5,)))
    refused = command("check", "--update")
    assert refused.exit_code == 2
    assert "needs two seeds or more" in refused.output
    assert not Path("reports/digits/baseline.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--summary", "reports"), "cannot compare: cannot write reports: "),
        (("--update", "--baseline", "HEAD"), "cannot compare: HEAD is no file: --update writes one"),
        (("--leaderboard", "of_track_5.json"), "cannot compare: there is no track '5'"),
        (("--leaderboard", "typo.json"), "typo.json is not there: gm-bench run --board NAME writes reports/"),
        (("--leaderboard", "latin.json"), "latin.json is damaged or no JSON ('utf-8' codec can't decode"),
        (("--baseline", "latin.json"), "latin.json is damaged or no JSON ('utf-8' codec can't decode"),
        (("--leaderboard", "reports"), "cannot compare: [Errno 21] Is a directory: 'reports'"),
    ],
)
def test_nothing_is_called_worse_that_was_not_judged(words: tuple[str, ...], sentence: str) -> None:
    accepted()
    Path("of_track_5.json").write_text(json.dumps(content() | {"track": 5}))
    Path("latin.json").write_bytes('{"rows": "é"}'.encode("latin-1"))
    before = sorted(Path().rglob("*"))
    refused = command("check", *words)
    assert refused.exit_code == 2
    assert sentence in refused.output
    assert sorted(Path().rglob("*")) == before


MALFORMED = {
    "board": [1],
    "track": "../x",
    "protocol": {"digits": 1.5},
    "rows": [row("a") | {"variant": 3}],
    "floors": {"digits": {"fid": 10**400}},
}


@pytest.mark.parametrize("key", MALFORMED)
def test_a_file_of_the_wrong_shape_is_refused_in_a_sentence(key: str) -> None:
    accepted()
    Path("other.json").write_text(json.dumps(content() | {key: MALFORMED[key]}))
    sentence = "there is no track '../x'" if key == "track" else "other.json is no leaderboard: give a"
    for option in ("--leaderboard", "--baseline"):
        refused = command("check", option, "other.json")
        assert refused.exit_code == 2
        assert refused.output.startswith(f"cannot compare: {sentence}")
    refused = command("compare", "a", "b", "--leaderboard", "other.json")
    assert refused.exit_code == 1
    assert refused.output.startswith(f"error: {sentence}")


def test_a_spread_beyond_all_numbers_is_no_baselines() -> None:
    accepted()
    path = Path("reports/digits/baseline.json")
    baseline = json.loads(path.read_text())
    next(iter(baseline["spreads"]["digits"].values()))["fid"]["sum_of_squares"] = 10**400
    path.write_text(json.dumps(baseline))
    refused = command("check")
    assert refused.exit_code == 2
    assert "is no baseline: make one with gm-bench check --update" in refused.output


def test_a_part_of_a_board_is_no_baseline() -> None:
    accepted()
    before = Path("reports/digits/baseline.json").read_bytes()
    leaderboard(row("vae"), board="digits", missing=["digits/gan/0", "digits/gan/1"])
    refused = command("check", "--update")
    assert refused.exit_code == 2
    assert "2 cells of the board digits are missing (digits/gan/0, …)" in refused.output
    assert "run gm-bench run --board digits" in refused.output
    assert Path("reports/digits/baseline.json").read_bytes() == before


def test_a_baseline_is_not_replaced_by_that_of_another_board() -> None:
    leaderboard(board="rings")
    assert command("check", "--update").exit_code == 0
    path = Path("reports/digits/baseline.json")
    before = path.read_bytes()
    leaderboard(board="digits")
    refused = command("check", "--update")
    assert refused.exit_code == 2
    assert "is the baseline of the board rings, the leaderboard is of digits: give" in refused.output
    assert path.read_bytes() == before


def test_a_leaderboard_is_no_place_for_a_baseline() -> None:
    leaderboard()
    path = Path("reports/digits/leaderboard.json")
    before = path.read_bytes()
    refused = command("check", "--update", "--baseline", str(path))
    assert refused.exit_code == 2
    assert "is a leaderboard, which --update would replace" in refused.output
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(schema=2), "has schema 2, not 1: make one with gm-bench check --update"),
        (lambda c: c["leaderboard"].update(rows=[]), "the baseline has no rows, so that nothing is watched"),
    ],
)
def test_a_baseline_that_watches_nothing_is_refused(change: Any, sentence: str) -> None:
    accepted()
    path = Path("reports/digits/baseline.json")
    changed = json.loads(path.read_text())
    change(changed)
    path.write_text(json.dumps(changed))
    refused = command("check")
    assert refused.exit_code == 2
    assert sentence in refused.output


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_revisions_stand_for_their_files() -> None:
    git("init", "-q")
    leaderboard()
    git("add", ".")
    git("commit", "-qm", "only a leaderboard")
    bare = git("rev-parse", "HEAD")
    leaderboard(row("vae", fid=(40.0, 41.0, 42.0)), row("gan"))
    assert command("check", "--baseline", bare).exit_code == 1
    assert command("check", "--update").exit_code == 0
    assert json.loads(Path("reports/digits/baseline.json").read_text())["revision"] == bare
    git("add", ".")
    git("commit", "-qm", "accepted")
    assert command("check", "--baseline", "HEAD").exit_code == 0
    side_by_side = command("compare", bare, "HEAD")
    assert side_by_side.exit_code == 0
    assert "+290.7 %" in side_by_side.output
    assert "✗ worse" in side_by_side.output
    unknown = command("check", "--baseline", "nonsense")
    assert unknown.exit_code == 2
    assert "'nonsense' is neither a file nor a revision" in unknown.output
    assert command("check", "--baseline", "--output=stolen").exit_code == 2
    assert not Path("stolen").exists()


def test_of_a_revision_the_report_of_the_same_board_is_taken() -> None:
    git("init", "-q")
    leaderboard()
    other = Path("reports/other/leaderboard.json")
    other.parent.mkdir()
    other.write_text(json.dumps(content() | {"board": "other"}))
    git("add", ".")
    git("commit", "-qm", "both")
    other.write_text(json.dumps(content(row("vae", fid=(40.0, 41.0, 42.0)), row("gan")) | {"board": "other"}))
    judged = command("check", "--baseline", "HEAD", "--leaderboard", str(other))
    assert judged.exit_code == 1
    git("add", ".")
    git("commit", "-qm", "worse")
    assert "+290.7 %" in command("compare", "HEAD~1", "HEAD", "--leaderboard", str(other)).output
    assert "+290.7 %" not in command("compare", "HEAD~1", "HEAD").output
    git("rm", "-q", str(other))
    git("commit", "-qm", "gone")
    other.parent.mkdir(exist_ok=True)
    other.write_text(json.dumps(content() | {"board": "other"}))
    lost = command("check", "--baseline", "HEAD", "--leaderboard", str(other))
    assert lost.exit_code == 2
    assert "has neither reports/other/baseline.json nor reports/other/leaderboard.json" in lost.output


def test_variants_and_files_are_compared() -> None:
    leaderboard(row("vae"), row("gan", fid=(40.0, 41.0, 42.0)))
    variants = command("compare", "vae", "gan")
    assert variants.exit_code == 0
    assert "vae → gan" in variants.output
    assert "+290.7 %" in variants.output
    Path("other.json").write_text(json.dumps(content(row("vae"), row("gan"))))
    files = command("compare", "reports/digits/leaderboard.json", "other.json")
    assert "✓ better" in files.output
    mixed = command("compare", "vae", "other.json")
    assert mixed.exit_code == 1
    assert "vae is a variant and 'other.json' is not" in mixed.output
    missing = command("compare", "vae", "gan", "--leaderboard", "typo.json")
    assert missing.exit_code == 1
    assert "typo.json is not there" in missing.output


def test_a_limit_beyond_all_sense_is_not_told_by_how_much() -> None:
    leaderboard(row("vae", (0, 1), fid=(7.3, 90_000.0)), row("gan", (0, 1), fid=(8.0, 9.0)))
    compared = command("compare", "vae", "gan")
    assert compared.exit_code == 0
    (fid,) = (line for line in compared.output.splitlines() if "FID" in line)
    assert fid.count("> 1,000 %") == 2


def test_markup_in_names_stays_text() -> None:
    hostile = Comparison("digits", "<b>[red]|`x` _y_", "fid", 1.0, 2.0, 0.7, 0.1, 0.2)
    text = comparison.to_markdown(Verdict([hostile]), "Gate", IMAGES)
    assert r"| \<b\>\[red\]\|\`x\` \_y\_ |" in text
    assert "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |" in text


@pytest.mark.parametrize("words", [["digits/vae/0"], ["digits", "vae", "0"]])
def test_cells_are_named_with_slashes_or_apart(words: list[str]) -> None:
    assert parse_cell(words, "digits") == Cell("digits", "digits", "vae", 0)


@pytest.mark.parametrize(
    "words", [["digits"], ["digits/vae"], ["digits/vae/x"], ["a", "b", "-1"], ["//0"], ["a", "b"]]
)
def test_other_words_are_no_cell(words: list[str]) -> None:
    with pytest.raises(ValueError, match="is no cell: give DATASET/VARIANT/SEED"):
        parse_cell(words, "digits")


def test_show_tells_all_of_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(__file__).resolve().parents[2]
    for name in ("params.yaml", "dvc.yaml"):
        Path(name).write_text((repository / name).read_text())
    write_cell(tmp_path, "vae", 0, (10.0, 11.0, 12.0))
    write_cell(tmp_path, "vae", 1, diverged_at=412)
    monkeypatch.setattr(runner, "prepare", lambda *_: None)
    monkeypatch.setattr(runner, "stale_stages", lambda *_: {"train@digits-vae-0": []})
    shown = command("show", "digits/vae/0")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    assert "digits/vae/0: stale: code, data or parameters changed since" in lines
    assert "FID ↓ 11 1 10 11 12" in lines
    assert "optimisers.model.lr 0.001 absent bases.tiny.single.optimiser.lr" in lines
    assert any(
        line.startswith("model.z_dim 16 ") and "variants.vae.tiny.model.z_dim" in line for line in lines
    )
    assert "time 30.1 s" in lines
    assert "runs/digits/digits/vae/0/model.safetensors not there" in lines
    assert any("dvc repro evaluate@digits-vae-0" in line for line in lines)
    diverged = command("show", "digits", "vae", "1")
    assert "diverged at step 412 (critic loss): nan" in diverged.output
    outside = command("show", "digits", "vae", "77")
    assert outside.exit_code == 0
    assert "digits/vae/77: not on the board digits" in outside.output
    for name, text, sentence in (
        ("cost.json", "[]", "cost.json is of another form: delete it and rerun its board"),
        ("cost.json", '{"budget": 64}', "cost.json lacks 'training_key': delete it and rerun its board"),
        ("metrics.json", '{"schema": 1}', "metrics.json has schema 1, this version reads 2: rerun its board"),
    ):
        (tmp_path / "runs/digits/digits/vae/0" / name).write_text(text)
        refused = command("show", "digits/vae/0")
        assert refused.exit_code == 1
        assert " ".join(refused.output.split()) == f"error: runs/digits/digits/vae/0/{sentence}"
    unknown = command("show", "digits/nothing/0")
    assert unknown.exit_code == 1
    assert "variants has no entry 'nothing'" in unknown.output
    no_dataset = command("show", "mnist_cpu/vae/0")
    assert no_dataset.exit_code == 1
    assert "datasets has no entry 'mnist_cpu'" in no_dataset.output


def test_a_line_of_the_table_has_the_metrics_own_numbers() -> None:
    """Of a ratio: noise and limit in per cent, and as many decimals as two figures of 2 % of 10 need."""
    fid = Comparison(
        "digits", "vae", "fid", 10.0, 11.0, math.log(1.1), math.log(1.02), math.log(1.05), 0.0, (12, 4)
    )
    recall = Comparison("digits", "vae", "recall", 0.6123, 0.6, 0.0123, 0.0123, 0.03, 0.02, (12, 4))
    equal = Comparison("digits", "gan", "recall", 0.5, 0.6, -0.1, 0.0, 0.02, 0.02, (3, 3))
    wide = replace(fid, noise=2.39, limit=2.4)
    verdict = Verdict([fid, recall, equal, wide])
    lines = [
        [text.strip() for text in line.strip("|").split("|")][2:]
        for line in comparison.to_markdown(verdict, "Gate", IMAGES).splitlines()
        if line.startswith("| digits |")
    ][-4:]
    assert lines == [
        ["FID ↓", "10.00", "11.00", "+10.0 %", "2.0 %", "5.0 %", "12, 4", "✗ worse"],
        ["Recall ↑", "0.612", "0.600", "−0.012", "0.012", "0.030", "12, 4", ""],
        ["Recall ↑", "0.500", "0.600", "+0.100", "0.000", "0.020", "3, 3", "✓ better"],
        ["FID ↓", "10", "11", "+10.0 %", "991.3 %", "\\> 1,000 %", "12, 4", ""],
    ]
    assert comparison.in_one_sentence(verdict) == "Regression: 1 worse, 1 better, 2 within noise."
