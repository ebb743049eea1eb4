"""What README.md and docs/ show of the code is the code, and what they name exists."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import typer
from fake_cells import write_cell, write_dataset
from PIL import Image

from gm_bench import cli
from gm_bench.config import load_params
from gm_bench.io import FileError
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.yaml_text import load_yaml
from pipelines.readme import BEGIN, SHOWN, _sheet, between_markers, main_tables

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").glob("*.md"))]
REPORTS = sorted(Path("reports").glob("*/README.md"))
COMMAND = typer.main.get_command(cli.app)
ADDING, METHODS, METRICS = (
    Path("docs", f"{name}.md").read_text(encoding="utf-8") for name in ("adding", "methods", "metrics")
)


def added(file: str) -> str:
    """The text that the diff of a file in docs/adding.md adds."""
    block = re.search(rf"```diff\n--- .*\n\+\+\+ b/{re.escape(file)}\n((?:\+.*\n)+)```", ADDING)
    assert block, f"no diff of {file}"
    return "".join(line[1:] + "\n" for line in block[1].splitlines())


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The words after a program's name, of lines of code and of code within lines, less their comments."""
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    lines += re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        for words in re.findall(rf"(?:^|[\s(]|bin/){program} ([^#&|)]+)", line):
            yield words.split()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_variant_that_is_shown_is_one_that_runs() -> None:
    file = "gm_bench/variants/lsgan_pearson.py"
    assert added(file) == Path(file).read_text(encoding="utf-8")


def test_the_entry_that_is_shown_is_the_one_that_runs() -> None:
    assert added("params.yaml") in Path("params.yaml").read_text(encoding="utf-8")
    shown = load_yaml(added("params.yaml"))["lsgan_pearson"]
    assert shown == load_params().variants["lsgan_pearson"], "and it is all of it"


def test_every_variant_is_explained() -> None:
    for file in Path("gm_bench/variants").glob("[!_]*.py"):
        assert f"`{file.stem}`" in METHODS


def test_every_metric_is_explained() -> None:
    told = METRICS[: METRICS.index("## Protocol")].lower()
    for metric in IMAGES:
        words = metric.title.lower().split()
        assert words[0] in told, metric.title


def test_readme_is_short_and_the_first_result_comes_first() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert text.index("make quick") < text.index(BEGIN)


@pytest.mark.parametrize("board", SHOWN)
def test_readme_shows_the_table_of_the_committed_leaderboard(board: str) -> None:
    table = Path("reports", board, "leaderboard.md")
    shown = main_tables(table.read_text(encoding="utf-8"), table)
    assert shown in PAGES[0].read_text(encoding="utf-8")
    assert "The other metrics:" not in shown


def test_a_table_without_its_protocol_is_refused() -> None:
    text = "# Leaderboard\n\n## digits\n\n| rank |\n| --- |\n| 1 |\n\n- N = 8: …\n- Extractor: …\n"
    with pytest.raises(ValueError, match=r"board\.md has 0 lines that begin with '±: '"):
        main_tables(text, Path("board.md"))
    with pytest.raises(ValueError, match="lacks the lines"):
        between_markers(f"{BEGIN} and no end", "")


def test_readme_has_room_for_some_columns_only() -> None:
    table = (
        "| rank | variant | family | FID ↓ | KID ↓ | a \\| b | Sharpness →1 | time | parameters |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| 1 | gan | GAN | 2.5 | 0.01 | \\< 3 | 1.01 | 9 s | 100 |"
    )
    said = "- N = 8: …\n- ±: …\n- Rank: by FID. It counts.\n- Extractor: x, y.\n- Budget: 8. Time and more: …"
    assert main_tables(f"# L\n\n## digits\n\n{table}\n\n{said}\n\nIn words", Path("board.md")) == (
        "### digits, in features of x\n\n"
        "| rank | variant | FID ↓ | a \\| b |\n| --- | --- | ---: | ---: |\n| 1 | gan | 2.5 | \\< 3 |\n\n"
        "- N = 8: … ±: … Rank: by FID.\n"
        "- Extractor: x, y. Budget: 8. All metrics, times and the whole protocol: [board.md](board.md)."
    )


def test_a_part_of_a_board_is_not_shown_as_the_whole() -> None:
    text = Path("reports", SHOWN[1], "leaderboard.md").read_text(encoding="utf-8")
    said = "Not measured yet: 2 of the 9 cells of fashion_mnist: vae seed 1, 2."
    part = text.replace("\n\n## ", f"\n\n{said}\n\n## ", 1)
    given = next(line for line in text.splitlines() if ": given the class of each image to draw" in line)
    assert f"|\n\n- {said}\n{given}" in main_tables(part, Path("board.md"))
    assert "Not measured" not in main_tables(text, Path("board.md"))


@pytest.mark.parametrize("page", [*PAGES, *REPORTS], ids=str)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in (link for link in links if "://" not in link):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, *REPORTS], ids=str)
def test_commands_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, *words in commands(text, "gm-bench"):
        assert name in COMMAND.commands, name
        known = {option for each in COMMAND.commands[name].params for option in each.opts}
        given = {word for word in words if re.match(r"--?[A-Za-z]", word)}
        assert given <= known, f"gm-bench {name}"
    makefile = Path("Makefile").read_text(encoding="utf-8")
    for name, *_ in commands(text, "make"):
        assert re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE), f"make {name}"


@pytest.mark.parametrize("page", [*PAGES, *REPORTS], ids=str)
def test_boards_scripts_and_paths_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = [load_yaml(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    added = {board for block in shown for board in block.get("boards", {})}
    boards = {*load_params().boards, *added, "BOARD", "NAME"}
    assert {*re.findall(r"--board (\w+)", text)} <= boards
    modules = re.findall(r"python -m (pipelines|benchmarks)\.(\w+)", text)
    scripts = [f"{folder}/{name}.py" for folder, name in modules]
    for script in scripts + re.findall(r"python ([\w/]+\.py)", text):
        assert Path(script).exists(), script
    for path in re.findall(r"`((?:gm_bench|pipelines|tests|benchmarks|docs)/[\w/.]+)`", text):
        if not re.search(r"\b[A-Z]{4,}\b", path):  # NAME stands for any
            assert Path(path).exists(), path


def test_a_part_of_a_board_has_a_picture_of_what_was_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the whole would, less the variants that are missing."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path)
    with pytest.raises(FileError, match="no cell of digits has samples here: run gm-bench run --board two"):
        _sheet("two", "digits", ["vae", "gan"], 0)
    write_cell(tmp_path, "gan", 0, board="two")
    part = _sheet("two", "digits", ["vae", "gan"], 0)
    assert part == _sheet("two", "digits", ["gan"], 0)
    write_cell(tmp_path, "vae", 0, board="two")
    whole = _sheet("two", "digits", ["vae", "gan"], 0)
    sizes = [Image.open(BytesIO(content)).size for content in (part, whole)]
    assert sizes[0][0] < sizes[1][0], "a column for each"
    assert sizes[0][1] == sizes[1][1]
