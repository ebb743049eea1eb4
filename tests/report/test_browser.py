"""The page in a real browser: it sorts, filters, plays, is light and dark, fits a phone, fetches nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from browsers import chromium, find, needed, shows
from fake_cells import publish, write_cell, write_dataset, write_params

pytestmark = [needed, pytest.mark.xdist_group("browser")]
FIDS = {"vae": (40.0, 43.0), "gan": (5.0, 6.0), "lsgan": (20.0, 21.0), "wgan": (15.0, None)}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """What the leaderboard stage writes for eight cells, one of which diverged."""
    root = tmp_path_factory.mktemp("browser")
    write_params(root, FIDS)
    write_dataset(root)
    for variant, fids in FIDS.items():
        for seed, fid in enumerate(fids):
            write_cell(root, variant, seed, [fid] if fid else [], diverged_at=None if fid else 77)
    publish(root, migrated)
    return root / "reports/digits"


@pytest.fixture(scope="module")
def driver() -> Iterator:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver, reports):
    """The leaderboard freshly opened on a desk; messages of earlier tests are dropped."""
    look(driver, 1280)
    driver.get_log("browser"), driver.get_log("performance")
    driver.get((reports / "leaderboard.html").as_uri())
    return driver


def look(driver, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def variants(driver, selector: str = "tbody.rows tr") -> list[str]:
    return [e.get_attribute("data-variant") for e in find(driver, selector) if e.is_displayed()]


def head(driver, text: str):
    return next(b for b in find(driver, "thead button") if b.text.startswith(text))


def test_rows_sort_by_a_click(page):
    assert variants(page) == ["gan", "wgan", "lsgan", "vae"], "by FID"
    head(page, "FID").click()
    assert variants(page) == ["vae", "lsgan", "wgan", "gan"]
    assert head(page, "FID").find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    head(page, "variant").click()
    assert variants(page) == ["gan", "lsgan", "vae", "wgan"]
    assert len(find(page, "th[aria-sort]")) == 1


def test_the_filter_hides_rows_samples_and_panels(page):
    page.find_element("css selector", "[type=search]").send_keys("gan")
    assert variants(page) == ["gan", "wgan", "lsgan"]
    assert "3 of 4 shown" in page.find_element("css selector", ".filter output").text
    assert set(variants(page, ".gallery [data-variant]")) == {"gan", "wgan", "lsgan"}
    assert set(variants(page, ".panel")) == {"gan", "wgan", "lsgan"}
    page.find_element("css selector", "fieldset input[value=WGAN]").click()
    assert variants(page) == ["gan", "lsgan"]
    page.find_element("css selector", "[type=search]").clear()
    page.find_element("css selector", "[type=search]").send_keys("nobody")
    assert variants(page) == []


def test_spread_and_columns_can_be_chosen(page):
    def shown(selector: str) -> bool:
        return any(element.is_displayed() for element in find(page, selector))

    assert (shown("td .interval"), shown("td .sd"), shown("td.more")) == (True, False, False)
    page.find_element("css selector", "select option[value=by-sd]").click()
    assert (shown("td .interval"), shown("td .sd")) == (False, True)
    page.find_element("css selector", ".all-columns").click()
    assert shown("td.more")
    assert len(find(page, "tbody.floor td")) == len(find(page, "thead th")) - 1, "a cell for every column"


def test_the_slider_moves_every_film(page):
    films = find(page, ".frames[data-times]")
    assert len(films) == 4
    tops = []
    for place in (0, 4, 9):
        page.execute_script(
            "const s = document.querySelector('.time input'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input'))",
            place,
        )
        assert (
            page.find_element("css selector", ".time output").text == f"{64_000 * (place + 1):,} images shown"
        )
        assert all(
            film.find_element("css selector", "img")
            .get_attribute("alt")
            .endswith(f"{64 * (place + 1)},000 images")
            for film in films
        )
        film, picture = films[0].rect, films[0].find_element("css selector", "img").rect
        assert picture["height"] == pytest.approx(10 * film["height"], abs=1)
        tops.append((film["y"] - picture["y"]) / film["height"])
    assert tops == pytest.approx([0, 4, 9], abs=0.05), "one frame is seen at a time"


def test_training_plays(page):
    page.find_element("css selector", ".play").click()
    slider = page.find_element("css selector", ".time input")
    assert int(slider.get_attribute("value")) < 9, "from the start"
    page.find_element("css selector", ".play").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_there_in_every_dress(page, scheme, width):
    look(page, width, scheme)
    pictures = find(page, "img")
    assert len(pictures) == 1 + 4 + 4, "real images, a film and pairs of each variant"
    assert all(page.execute_script("return arguments[0].naturalWidth > 0", picture) for picture in pictures)
    charts = find(page, "[role=img] > svg")
    assert len(charts) == 4 + 3 * 4, "four charts, and curves of FID, 1-NN and losses for each variant"
    assert all(chart.rect["height"] > 60 and chart.rect["width"] > 120 for chart in charts)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width, "nothing sticks out"
    level = lambda colour: sum(int(float(part)) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])  # noqa: E731
    ground = level(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
    texts = find(page, "[role=img] > svg text")
    inks = [
        level(page.execute_script("return getComputedStyle(arguments[0]).fill", text)) for text in texts[:40]
    ]
    assert (ground > 700) == (scheme == "light")
    assert all(abs(ink - ground) > 200 for ink in inks), "text of charts stands out from the page"
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_nothing_is_fetched(page, reports):
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url for url in sent if not url.startswith("data:")} == {(reports / "leaderboard.html").as_uri()}


def test_links_lead_somewhere(page, reports):
    def linked() -> list[Path]:
        links = page.execute_script("return [...document.querySelectorAll('a')].map(a => a.href)")
        return [Path(unquote(link.removeprefix("file://"))) for link in {*links} if "#" not in link]

    shows(lambda: Counter(file.suffix for file in linked()), Counter({".html": 8, ".csv": 7}))
    assert all(file.is_file() for file in linked())


def test_the_page_of_a_cell(page, reports):
    page.find_element("css selector", "a[href='cells/digits-vae-1.html']").click()
    assert page.find_element("css selector", "h1").text == "digits / vae / seed 1"
    assert all(
        page.execute_script("return arguments[0].naturalWidth > 0", picture) for picture in find(page, "img")
    )
    assert (
        "gm-bench run --board digits --datasets digits --variants vae --seeds 1"
        in page.find_element("css selector", "main").text
    )
    page.get((reports / "cells/digits-wgan-1.html").as_uri())
    assert "Training diverged at step 77" in page.find_element("css selector", "[role=alert]").text
    look(page, 390)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    page.find_element("link text", "leaderboard").click()
    assert page.current_url.endswith("/leaderboard.html#digits")
