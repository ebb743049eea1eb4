"""A headless Chromium for tests of pages."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: apt install chromium-driver)"
)
PATIENCE = 300.0  # seconds, for a machine that is busy
T = TypeVar("T")


@contextmanager
def chromium(page_load_strategy: str = "normal") -> Iterator:
    """A driver whose messages and requests are kept.

    Args:
        page_load_strategy: "none" where tests wait for what they look for, however long a page takes to load.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.page_load_strategy = page_load_strategy
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def find(driver, selector: str) -> list:
    return driver.find_elements("css selector", selector)


def texts(driver, selector: str) -> list[str]:
    """What elements say, in reading order: tables and charts may hold them in another one. Read in one go."""
    script = """const text = e => (e.innerText ?? e.textContent).replaceAll('\\u00a0', ' ').trim();
        return [...document.querySelectorAll(arguments[0])]
        .map(e => [e.getBoundingClientRect(), text(e)])
        .sort(([a], [b]) => Math.round(a.top - b.top) || a.left - b.left)
        .map(([_, text]) => text)"""
    return driver.execute_script(script, selector)


def shows(look: Callable[[], T], expected: T) -> None:
    """Look until that is seen. A page in the making, or a busy machine, may refuse to be looked at."""
    from selenium.common.exceptions import WebDriverException

    deadline, seen = time.monotonic() + PATIENCE, None
    while time.monotonic() < deadline:
        try:
            seen = look()
        except (WebDriverException, IndexError) as error:
            seen = error
        if seen == expected:
            return
        time.sleep(0.2)
    assert seen == expected
