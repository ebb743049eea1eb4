"""What a run says while it works, where there is no terminal for a table."""

import pytest

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.running import overview
from gm_bench.running.chains import Chain
from gm_bench.running.overview import RunDisplay


def test_a_run_without_a_terminal_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(overview.time, "monotonic", lambda: now[0])
    cell = Cell("b", "signs", "vae", 0)
    io.write_json(
        cell.checkpoints / "progress.json",
        {"images": 250, "n_images": 1000, "images_per_second": 1234.4, "seconds_left": 61.6},
    )
    network = Chain("signs", ("extractor@signs",), None, "extractor")
    trained = Chain("signs-vae-0", ("train@signs-vae-0",), cell, "train")
    waiting = Chain("signs-vae-1", ("train@signs-vae-1",), cell)
    network.output += ["Running stage 'extractor@signs':", "> python -m pipelines.extractor signs"]
    display = RunDisplay("all", [network, trained, waiting])
    display._report_running()
    assert capsys.readouterr().err == ""  # what has just begun is no news
    now[0] = 31.0
    display._report_running()
    assert capsys.readouterr().err.splitlines() == [
        "signs: extractor",
        "signs-vae-0: train 25%, 1,234 images/s, 62 s left",
    ]
    network.output.append("signs: classifier for the features, epoch 3 of 20")
    now[0] = 45.0
    display._report_running()
    assert capsys.readouterr().err == ""  # half a minute between two lines
    now[0] = 62.0
    display._report_running()
    said = capsys.readouterr().err.splitlines()
    assert said == ["signs: extractor classifier for the features, epoch 3 of 20"]
    trained.state = "evaluate"
    trained.output.append(f"{cell}: fid 12.3")
    now[0] = 93.0
    display._report_running()
    assert capsys.readouterr().err.splitlines() == ["signs-vae-0: evaluate fid 12.3"]
