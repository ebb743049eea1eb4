"""MLflow's pages on a small run, as `make ui` serves them, in a real browser: what is seen at first sight."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from browsers import chromium, find, needed, shows, texts
from fake_cells import PARAMS, publish, write_cell, write_dataset, write_params
from servers import answers, free_port

pytestmark = [needed, pytest.mark.xdist_group("browser")]
FIDS = {"vae": (40.0, 43.0), "gan": (5.0, 6.0), "wgan": (15.0, 17.0)}
ARROW_RIGHT = "\ue014"
BY_FID = ["real images · floor", "gan · 0", "gan · 1", "wgan · 0", "wgan · 1", "vae · 0", "vae · 1"]


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[dict[str, str]]:
    """Name → address, from the first line of the experiment's description, while `gm-bench ui` serves it."""
    from gm_bench.tracking.store import Store

    root = tmp_path_factory.mktemp("mlflow-pages")
    write_params(root, FIDS)
    write_dataset(root)
    for variant, fids in FIDS.items():
        for seed, fid in enumerate(fids):
            write_cell(root, variant, seed, [fid])
    publish(root, migrated)
    experiment = Store(f"sqlite:///{root}/mlflow.db")._client.get_experiment_by_name("gm-bench/digits/digits")
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
        assert dataset == "digits/digits"
        shows(lambda: answers(f"http://127.0.0.1:{port}"), True)
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
    with chromium(page_load_strategy="none") as driver:
        size = {"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver


def visit(driver, address: str) -> None:
    """Open a page anew: where only the fragment changes, MLflow keeps what the page before had."""
    driver.get("about:blank")
    shows(lambda: driver.current_url, "about:blank")
    driver.get(address)


def says(driver, *parts: str) -> None:
    """Wait until all of that is in the text of the page."""
    shows(lambda: [part for part in parts if part not in texts(driver, "body")[0]], [])


def test_the_table_of_runs_is_in_order_of_fid(driver, links):
    visit(driver, links["best by FID"])
    shows(lambda: texts(driver, ".ag-cell a[href*='/runs/']"), BY_FID)
    values = ".ag-cell[col-id='metrics.`eval/fid`']"
    shows(lambda: [float(text) for text in texts(driver, values)], [0.25, 5.0, 6.0, 15.0, 17.0, 40.0, 43.0])
    shows(lambda: texts(driver, ".ag-header-cell")[1:5], ["Run Name", "Created", "eval/fid", "eval/kid"])
    shows(lambda: [text for text in texts(driver, "a[href*='workflowType']") if text in links], list(links))


def test_the_charts_compare_variants(driver, links):
    visit(driver, links["variants"])
    means = {"0.25", "5.50", "16.00", "41.50"}
    shows(lambda: means - set(texts(driver, ".js-plotly-plot .bartext")), set())
    shows(lambda: len(find(driver, ".js-plotly-plot")), 4)
    says(driver, "quality\n(4)", "curve\n(2)", "Group: floor", *(f"Group: {name}" for name in FIDS))


def steps(driver) -> list[int]:
    """Of each sample grid that is loaded, the step that it stands at; MLflow has it in the address."""
    script = "return [...document.querySelectorAll('.rc-image img')].map(i => i.naturalWidth && i.src)"
    addresses = [unquote(address) for address in driver.execute_script(script) if address]
    return [int(address.split("+step+")[1].split("+")[0]) for address in addresses]


def slider(driver, place: str) -> int:
    return int(find(driver, "[role=slider]")[0].get_attribute(f"aria-value{place}"))


def test_samples_of_each_variant_with_a_slider_over_training(driver, links):
    visit(driver, links["samples"])
    shows(lambda: steps(driver), [0, 0, 0])  # of the model that was scored, to be seen at once
    assert (slider(driver, "now"), slider(driver, "max")) == (0, 640_000)

    def moved() -> int:
        if slider(driver, "now") == 0:
            find(driver, "[role=slider]")[0].send_keys(ARROW_RIGHT)
        return slider(driver, "now")

    shows(moved, 64_000)
    shows(lambda: steps(driver), [64_000] * 3)


def test_parallel_coordinates(driver, links):
    visit(driver, links["coordinates"])
    axes = ["family", "eval/precision", "eval/recall", "eval/one_nn", "cost/seconds", "eval/fid"]
    shows(lambda: texts(driver, ".parcoords .dimension .label"), axes)


def test_cells_side_by_side(driver, links):
    visit(driver, links["best 6 side by side"])
    says(driver, "Comparing 6 Runs from 1 Experiment", "eval/fid")
    shows(lambda: re.findall(r"\w+ · \d", texts(driver, "body")[0]), BY_FID[1:])


def test_the_leaderboard_is_a_page_and_a_table(driver, links):
    visit(driver, links["leaderboard"])

    def rows_in_the_report() -> int:
        driver.switch_to.default_content()
        driver.switch_to.frame(find(driver, "iframe")[0])
        return len(find(driver, "tbody.rows tr"))

    shows(rows_in_the_report, 3)
    driver.switch_to.default_content()
    visit(driver, links["leaderboard"].replace("leaderboard.html", "table.json"))
    shows(lambda: "1-NN →0·5" in texts(driver, "[role=columnheader]"), True)
    n = len(texts(driver, "[role=columnheader]"))
    shows(lambda: len([text for text in texts(driver, "[role=cell]") if text]), 4 * n)
    cells = texts(driver, "[role=cell]")
    assert cells[:4] == ["–", "floor", "real images", "0.25 ± 0.12"]
    assert cells[n : n + 4] == ["1", "gan", "GAN", "5.5 ± 0.7"]


def test_the_page_of_a_run_has_its_image_card(driver, links):
    from gm_bench.tracking.store import Store

    experiment = re.search(r"experiments/(\d+)/", links["best by FID"])[1]
    server = links["best by FID"].partition("/#")[0]
    (run,) = Store(server)._client.search_runs([experiment], "attributes.run_name = 'gan · 0'")
    visit(driver, f"{server}/#/experiments/{experiment}/runs/{run.info.run_id}/model-metrics")

    def searched() -> str:
        box = find(driver, "input[placeholder*='Search metric']")[0]
        if not box.get_attribute("value"):
            box.send_keys("samples")
        return box.get_attribute("value")

    shows(searched, "samples")
    shows(lambda: steps(driver), [0])
    shows(lambda: slider(driver, "max"), 640_000)
