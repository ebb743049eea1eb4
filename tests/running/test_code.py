"""One hash of the code that something really runs: what counts in it, and whose imports are followed."""

import textwrap
from pathlib import Path

import pytest

from gm_bench.running import code
from gm_bench.running.code import closure, code_hash

FILES = {
    "house/__init__.py": "",
    "house/start.py": """
        from typing import TYPE_CHECKING

        from house import shared
        from house.deep.inner import value

        if TYPE_CHECKING:
            from house import typed
        else:
            from house import otherwise


        def late():
            import house.late

            return house.late.n + value + shared.n
        """,
    "house/shared.py": "import math\n\nn = 1\n",
    "house/late.py": "n = 2\n",
    "house/typed.py": "n = 3\n",
    "house/otherwise.py": "n = 4\n",
    "house/stranger.py": "n = 5\n",
    "house/deep/__init__.py": "from .beside import n as above\n",
    "house/deep/inner.py": "from ..up import n\nfrom . import beside\n\nvalue = n\n",
    "house/deep/beside.py": "n = 6\n",
    "house/up.py": "n = 7\n",
    "garden/__init__.py": "",
    "garden/start.py": "import house.late\nfrom gm_bench.metrics import sharpness\n",
}


class House:
    """A package in a folder on the path, whose files can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            self.write(name, textwrap.dedent(text))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        forget()

    def hash(self, module: str = "house.start") -> str:
        return code_hash([module])


def forget() -> None:
    """A process of its own reads each file once."""
    for cached in (code.find, code._text, code._imports):
        cached.cache_clear()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield House(tmp_path)
    forget()


def test_imports_are_followed_late_and_relative_ones_too(house: House) -> None:
    """All of it by hand: neither what only types need nor who is never imported."""
    inside = {"house.deep.inner", "house.deep.beside", "house.up"}
    assert closure(["house.start"]) == {
        "house.start",
        "house.shared",
        "house.late",
        "house.otherwise",
        *inside,
    }
    assert closure(["house.deep"]) == {"house.deep", "house.deep.beside"}
    assert closure(["house.shared", "house.late"]) == {"house.shared", "house.late"}


def test_other_peoples_packages_are_not_followed_but_gm_bench_is(house: House) -> None:
    """A track from outside goes stale when a metric changes that it uses, not when other packages do."""
    assert closure(["garden.start"]) == {"garden.start", "gm_bench.metrics.sharpness"}


@pytest.mark.parametrize(
    "module", ["shared", "late", "otherwise", "up", "deep/inner", "deep/beside", "start"]
)
def test_a_change_of_what_runs_is_noticed(house: House, module: str) -> None:
    before = house.hash()
    file = house.folder / f"house/{module}.py"
    house.write(f"house/{module}.py", file.read_text() + "\nmore = 1\n")
    assert house.hash() != before


def test_a_file_that_is_no_python_is_named(house: House) -> None:
    house.write("house/late.py", "n = 2\ndef x(:\n")
    with pytest.raises(ValueError, match=r"house/late\.py, line 2: invalid syntax$"):
        house.hash()


@pytest.mark.parametrize("module", ["typed", "stranger"])
def test_a_change_of_what_does_not_run_is_not(house: House, module: str) -> None:
    before = house.hash()
    house.write(f"house/{module}.py", "n = 'changed'\n")
    assert house.hash() == before


PLAIN = """
def f(x, y=2):
    z = (x + y) * 3
    return {"a": z, "b": [z, None]}


class C:
    size = 1

    def g(self):
        return "a text"
"""
SAME = '''
"""What it is."""
# and why


def f(
    x,
    y=2,  # a default
):
    """What it does."""
    z = (x + y) * 3

    return {
        "a": z,
        "b": [z, None],
    }
class C:
    """A class."""

    size = (1)

    def g(self):
        """More."""
        return 'a text'
'''


def test_comments_docstrings_and_layout_do_not_count(house: House) -> None:
    house.write("house/shared.py", PLAIN)
    before = house.hash()
    house.write("house/shared.py", SAME)
    assert house.hash() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y=2", "y=3"),
        ("y=2", "y=2.0"),
        ("y=2", "y=True"),
        ("(x + y) * 3", "x + y * 3"),
        ("(x + y)", "(y + x)"),
        ("x + y", "x - y"),
        ('"a": z', '"c": z'),
        ("[z, None]", "[z]"),
        ("[z, None]", "[None, z]"),
        ("[z, None]", '[z, "None"]'),
        ("size = 1", "size: int"),
        ('return "a text"', 'return "another text"'),
        ('        return "a text"', '        "a text"'),
        ("def g", "async def g"),
        ("class C:", "class C(dict):"),
    ],
)
def test_any_other_change_does(house: House, old: str, new: str) -> None:
    assert PLAIN.count(old) == 1
    house.write("house/shared.py", PLAIN)
    before = house.hash()
    house.write("house/shared.py", PLAIN.replace(old, new))
    assert house.hash() != before


def test_a_module_under_another_name_is_other_code(house: House) -> None:
    """The same lines moved to another file: whoever finds modules by their names runs something else."""
    house.write("house/twin.py", FILES["house/late.py"])
    assert house.hash("house.twin") != house.hash("house.late")


def test_the_order_in_which_modules_are_named_does_not_count(house: House) -> None:
    assert code_hash(["house.up", "house.late"]) == code_hash(["house.late", "house.up", "house.late"])


def test_a_module_that_is_not_there_is_named(house: House) -> None:
    with pytest.raises(
        ValueError, match=r"no module house\.cellar: neither in gm_bench nor in the working folder"
    ):
        code_hash(["house.start", "house.cellar"])


def test_nothing_is_run_to_find_out_what_would_run(house: House) -> None:
    house.write("house/shared.py", "raise SystemExit('it was imported')\n")
    assert "house.shared" in closure(["house.start"])
