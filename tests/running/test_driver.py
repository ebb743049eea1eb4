"""What a run of a part of a board brings up to date."""

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from gm_bench.cell import parse_cell
from gm_bench.config import Params
from gm_bench.running import driver, runner, warm
from gm_bench.running.chains import Chain, cell_chain
from gm_bench.variants.base import contract

ROOT = Path(__file__).resolve().parents[2]


def brought_up_to_date(
    folder: Path, monkeypatch: pytest.MonkeyPatch, here: Sequence[str]
) -> dict[str, list[str]]:
    """A folder with cells of mode_collapse_cpu that are made; what a run brings up to date there."""
    for name in ("params.yaml", "dvc.yaml", "pipelines/mode_collapse/stages.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    monkeypatch.chdir(folder)
    for cell in here:
        made = Path("runs/mode_collapse_cpu", cell)
        made.mkdir(parents=True)
        (made / "metrics.json").write_text("{}")
    brought: dict[str, list[str]] = {}

    def bring(title: str, chains: Sequence[Chain], *rest: object) -> bool:
        brought[title] = [chain.name for chain in chains]
        return False

    monkeypatch.setattr(driver, "_bring_up_to_date", bring)
    monkeypatch.setattr(runner, "alone", lambda say: nullcontext())
    monkeypatch.setattr(runner, "prepare", lambda *_: None)
    return brought


@pytest.mark.parametrize(("here", "datasets"), [((), ["ring"]), (("grid/ns_gan/0",), ["ring", "grid"])])
def test_the_data_of_cells_that_are_here_are_brought_too(
    here: Sequence[str], datasets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows stand in the leaderboard beside the floor, whatever part is asked for."""
    brought = brought_up_to_date(tmp_path, monkeypatch, here)
    monkeypatch.setattr(runner, "stale_stages", lambda *_: {})
    monkeypatch.setattr(runner, "attend", lambda command, environ: 0)
    with pytest.raises(SystemExit) as ended:
        driver.run("mode_collapse_cpu", 1, None, datasets="ring", variants="gan,pac_gan", seeds="0")
    assert ended.value.code == 0
    assert brought["fetch"] == brought["datasets"] == datasets
    assert brought["cells"] == ["ring-gan-0", "ring-pac_gan-0"]


@pytest.mark.parametrize("stale", ["ring/gan/0", "ring/pac_gan/0"])
def test_no_leaderboard_is_made_beside_a_stale_cell_that_was_not_asked_for(
    stale: str,
    params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of what is asked for nothing is stale any more when the leaderboard's turn comes."""
    brought_up_to_date(tmp_path, monkeypatch, ["ring/gan/0", "ring/pac_gan/0"])
    stages = cell_chain(params, parse_cell([stale], "mode_collapse_cpu")).stages
    changed = {stage: ["code"] for stage in stages}
    monkeypatch.setattr(runner, "stale_stages", lambda *_: changed)
    published: list[Sequence[str]] = []
    monkeypatch.setattr(runner, "attend", lambda command, environ: published.append(command) or 0)
    with nullcontext() if stale == "ring/pac_gan/0" else pytest.raises(SystemExit):
        driver.run("mode_collapse_cpu", 1, None, variants="gan")
    said = capsys.readouterr().out
    if stale == "ring/pac_gan/0":
        assert published == []
        assert said.startswith(
            "the leaderboard of mode_collapse_cpu is left as it is: 1 of its cells (ring/pac_gan/0, …) are "
        )
        assert "gm-bench run --board mode_collapse_cpu brings them" in said
    else:
        assert [command[-1] for command in published] == ["boards/mode_collapse_cpu/dvc.yaml:leaderboard"]
        assert said == ""


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the stages of the audit; a script in it, dvc, stands for DVC."""
    for name in ("params.yaml", "dvc.yaml", "pipelines/audit/stages.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in (".dvc", ".git"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("/bin/bash", str(tmp_path / "dvc")))
    return tmp_path


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (255, 1), (1, 1)])
def test_an_audit_ends_with_a_code_of_this_program(audited: Path, code: int, expected: int) -> None:
    (audited / "dvc").write_text(f'echo "$@" > said; exit {code}\n')
    assert driver.audit(None) == expected
    assert (audited / "said").read_text() == "repro boards/audit/dvc.yaml\n"
    assert (audited / ".dvc/tmp/gm-bench.lock").is_file(), "no run of a board beside it"


def test_an_audit_that_is_interrupted_waits_for_dvc(audited: Path) -> None:
    """Ctrl-C reaches both: a stage saves what it has, and nothing works on behind the prompt."""
    (audited / "dvc").write_text("kill -INT $PPID; sleep 0.5; touch saved; exit 130\n")
    with pytest.raises(KeyboardInterrupt):
        driver.audit(None)
    assert (audited / "saved").is_file()


def interrupted(process: "subprocess.Popen[bytes]", number: signal.Signals) -> "subprocess.Popen[bytes]":
    """The process, once it is at work and a signal came to this one."""
    while not Path("ready").is_file():
        time.sleep(0.01)
    signal.raise_signal(number)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_comes_while_dvc_is_started_waits_for_it_too(
    audited: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The process is there before anyone has it in hand."""

    def start(command: list[str], environ: dict[str, str], output: int | None) -> "subprocess.Popen[bytes]":
        return interrupted(subprocess.Popen(command, env=environ), number)

    (audited / "dvc").write_text("trap '' INT; touch ready; sleep 0.5; touch saved\n")
    monkeypatch.setattr(warm, "start", start)
    with pytest.raises(KeyboardInterrupt):
        driver.audit(None)
    assert (audited / "saved").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("moment", ["started", "heard"])
def test_an_interrupt_of_what_says_the_stages_waits_for_dvc(
    audited: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Its lines are heard here, and the user sees none of them."""

    def start(command: list[str], environ: dict[str, str], output: int) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, env=environ, stdout=output)
        return interrupted(process, signal.SIGINT) if moment == "started" else process

    ask = "kill -INT $PPID; " if moment == "heard" else ""
    (audited / "dvc").write_text(f"trap '' INT; touch ready; {ask}sleep 0.5; echo words; touch saved\n")
    monkeypatch.setattr(warm, "start", start)
    with pytest.raises(KeyboardInterrupt):
        runner.output_of(runner.DVC, {})
    assert (audited / "saved").is_file()


@pytest.mark.parametrize(
    ("word", "board", "title"),
    [
        ("mnist", None, "mnist on the board mnist"),
        ("mnist", "mnist_cpu", "mnist on the board mnist_cpu"),
        ("cifar10_jpeg", None, "cifar10_jpeg on the board cifar10_cpu"),
    ],
)
def test_a_word_is_a_dataset_of_the_board_that_is_named(
    word: str, board: str | None, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    driver.show_cell([word], board)
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in said if " on the board " in line] == [title]


@pytest.mark.parametrize(("word", "has"), [("cifar10_jpeg", "digits"), ("mnist_cpu", "digits")])
def test_what_is_no_dataset_of_the_board_that_is_named_is_refused(word: str, has: str) -> None:
    with pytest.raises(ValueError, match=f"^the board digits has no dataset {word}; it has {has}$"):
        driver.show_cell([word], "digits")


def test_a_variant_that_cannot_be_imported_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str) -> type[contract.Variant]:
        if name == "lsgan":
            raise ModuleNotFoundError("No module named 'torche'")
        return known(name)

    known = contract.find
    monkeypatch.setattr(contract, "find", find)
    monkeypatch.setattr(
        runner, "states_now", lambda params, board: dict.fromkeys(params.cells(board), "missing")
    )
    driver.show_inventory(None)
    said = " ".join(capsys.readouterr().out.split())
    assert "cannot be imported: ModuleNotFoundError: No module named 'torche'" in said
    assert "Mao et al. 2017, eq. 8" in said
