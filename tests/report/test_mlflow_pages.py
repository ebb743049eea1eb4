"""MLflow's pages on a small run, as `make ui` serves them, in a real browser: what is seen at first sight."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from browsers import chromium, find, needed, wait_for
from fake_cells import write_cell, write_dataset
from servers import answers, free_port

pytestmark = [needed, pytest.mark.xdist_group("browser")]
PARAMS = Path(__file__).parents[2] / "params.yaml"
FIDS = {"vae": (40.0, 43.0), "gan": (5.0, 6.0), "wgan": (15.0, 17.0)}
BY_FID = ["real images · floor", "gan · 0", "gan · 1", "wgan · 0", "wgan · 1", "vae · 0", "vae · 1"]


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[dict[str, str]]:
    """Name → address, from the first line of the experiment's description, while `gm-bench ui` serves it."""
    from gm_bench.tracking import Store
    from pipelines.leaderboard import main

    root = tmp_path_factory.mktemp("mlflow-pages")
    content = yaml.safe_load(PARAMS.read_text())
    content["grid"] = {"datasets": ["digits"], "variants": list(FIDS), "seeds": [0, 1]}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    write_dataset(root)
    for variant, fids in FIDS.items():
        for seed, fid in enumerate(fids):
            write_cell(root, variant, seed, [fid])
    shutil.copy(migrated, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        main()
        experiment = Store()._client.get_experiment_by_name("gm-bench/digits")
    port = free_port()
    environ = os.environ | {"PYTHONPATH": str(PARAMS.parent)}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "gm_bench.cli", "ui", "--port", str(port)]
    ui = subprocess.Popen(
        command,
        cwd=root,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        dataset, _, printed = ui.stdout.readline().strip().partition(": ")
        assert dataset == "digits"
        wait_for(lambda: answers(f"http://127.0.0.1:{port}"), "MLflow's server")
        line = experiment.tags["mlflow.note.content"].partition("\n")[0]
        named = {
            name: f"http://127.0.0.1:{port}/{link}" for name, link in re.findall(r"\[(.*?)\]\((.*?)\)", line)
        }
        assert printed == named["best by FID"]
        yield named
    finally:
        os.killpg(ui.pid, signal.SIGKILL)
        ui.wait()


@pytest.fixture(scope="module")
def driver() -> Iterator:
    with chromium() as driver:
        size = {"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver


def visit(driver, address: str) -> None:
    driver.get("about:blank")  # else only the fragment changes, and the page keeps what it had
    driver.get(address)


def text_of(driver) -> str:
    return driver.find_element("css selector", "body").text


def seen(driver, selector: str, n: int) -> list:
    """So many elements as soon as they are there, in reading order; on MLflow's tables the order differs."""
    found = wait_for(lambda: [e for e in [find(driver, selector)] if len(e) >= n], f"{n} × {selector}")[0]
    return sorted(found, key=lambda e: (e.location["y"], e.location["x"]))


def test_the_table_of_runs_is_in_order_of_fid(driver, links):
    visit(driver, links["best by FID"])
    runs = seen(driver, ".ag-cell a[href*='/runs/']", 7)
    assert [e.text for e in runs] == BY_FID
    assert [e.text for e in find(driver, "a[href*='workflowType']") if e.text in links] == list(links)
    heads = [e.text for e in seen(driver, ".ag-header-cell", 5)]
    assert heads[3:5] == ["eval/fid", "eval/kid"], "after the box to tick, the name and the date"
    values = seen(driver, ".ag-cell[col-id='metrics.`eval/fid`']", 7)
    assert [float(e.text) for e in values] == [0.25, 5.0, 6.0, 15.0, 17.0, 40.0, 43.0]


def test_the_charts_compare_variants(driver, links):
    visit(driver, links["variants"])
    bars = {e.text for e in seen(driver, ".js-plotly-plot .bartext", 8)}
    assert {"0.25", "5.50", "16.00", "41.50"} <= bars, "FID: means over seeds"
    assert len(find(driver, ".js-plotly-plot")) == 4
    text = text_of(driver)
    assert "quality\n(4)" in text
    assert all(f"Group: {name}" in text for name in ("floor", *FIDS))


def pictures(driver) -> list[str]:
    """Addresses of the sample grids, once all are loaded."""
    script = (
        "return [...document.querySelectorAll('.rc-image img')].map(i => i.naturalWidth > 0 ? i.src : '')"
    )
    found = driver.execute_script(script)
    return found if len(found) == len(FIDS) and all(found) else []


def test_samples_of_each_variant_with_a_slider_over_training(driver, links):
    visit(driver, links["samples"])
    finished = wait_for(lambda: pictures(driver), "three sample grids")
    (slider,) = find(driver, "[role=slider]")
    assert slider.get_attribute("aria-valuenow") == "0", "the model that was scored is seen at once"
    assert slider.get_attribute("aria-valuemax") == "640000"
    slider.send_keys("\ue014")  # arrow to the right
    early = wait_for(lambda: [p for p in [pictures(driver)] if p and p != finished], "the first moment")[0]
    assert all("%2Bstep%2B64000%2B" in address or "+step+64000+" in address for address in early)
    assert "No image logged" not in text_of(driver)


def test_parallel_coordinates(driver, links):
    visit(driver, links["coordinates"])
    axes = wait_for(lambda: [e.text for e in find(driver, ".parcoords .dimension .label")], "axes")
    names = ["family", "eval/precision", "eval/recall", "eval/one_nn", "cost/seconds", "eval/fid"]
    assert axes == names


def test_cells_side_by_side(driver, links):
    visit(driver, links["best 6 side by side"])
    wait_for(lambda: "Comparing 6 Runs from 1 Experiment" in text_of(driver), "the title")
    text = wait_for(lambda: next((t for t in [text_of(driver)] if "vae · 1" in t), ""), "the runs")
    assert text.index("gan · 0") < text.index("wgan · 0") < text.index("vae · 1")
    assert "eval/fid" in text


def test_the_leaderboard_is_a_page_and_a_table(driver, links):
    visit(driver, links["leaderboard"])
    frame = wait_for(lambda: find(driver, "iframe"), "the report")[0]
    driver.switch_to.frame(frame)
    wait_for(lambda: "gm-bench leaderboard" in text_of(driver), "the report's title")
    assert len(find(driver, "tbody.rows tr")) == 3
    driver.switch_to.default_content()
    visit(driver, links["leaderboard"].replace("leaderboard.html", "table.json"))
    titles = [e.text for e in seen(driver, "[role=columnheader]", 4)]
    cells = [e.text for e in seen(driver, "[role=cell]", 4 * len(titles))]
    assert cells[:4] == ["–", "floor", "real images", "0.25 ± 0.12"]
    assert cells[len(titles) :][:4] == ["1", "gan", "GAN", "5.5 ± 0.7"]
    assert "1-NN →0·5" in titles
    assert all(cells), "no column is hidden"


def test_the_page_of_a_run_has_its_image_card(driver, links):
    visit(driver, links["best by FID"])
    address = seen(driver, ".ag-cell a[href*='/runs/']", 7)[1].get_attribute("href")
    visit(driver, address.partition("?")[0] + "/model-metrics?workflowType=machine_learning")
    box = wait_for(lambda: find(driver, "input[placeholder*='Search metric']"), "the charts' search box")[0]
    box.send_keys("samples")
    wait_for(lambda: find(driver, ".rc-image img"), "the image card")
    assert find(driver, "[role=slider]")[0].get_attribute("aria-valuemax") == "640000"
