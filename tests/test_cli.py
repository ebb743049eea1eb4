"""The console script and the runner behind it, without running a stage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.metrics.extractors.lenet import pinned_datasets
from gm_bench.running import runner
from gm_bench.running.chains import Chain, board_chain, cell_chain, dataset_chain, part_of, parts_of
from gm_bench.tracks.settings import pinned_weights


def test_chains_hold_the_stages_of_a_cell_and_of_a_dataset(params: Params) -> None:
    cell = Cell("digits", "digits", "vae", 0)
    assert dataset_chain(params, "digits", "digits").stages == (
        "fetch@digits",
        "extractor@digits",
        "reference@digits",
    )
    assert cell_chain(params, cell).stages == (
        "train@digits-vae-0",
        "sample@digits-vae-0",
        "evaluate@digits-vae-0",
    )
    assert board_chain(params, "digits", "leaderboard").stages == ("leaderboard",)
    elsewhere = cell_chain(params, Cell("mnist_cpu", "mnist", "vae", 0))
    assert elsewhere.stages[0] == "boards/mnist_cpu/dvc.yaml:train@mnist-vae-0"
    assert elsewhere.name == "mnist-vae-0"
    shared = dataset_chain(params, "mnist_cpu", "mnist").stages
    assert shared[0] == "boards/datasets/mnist/dvc.yaml:fetch@mnist"
    assert dataset_chain(params, "mnist", "mnist").stages == shared
    assert dataset_chain(params, "all", "digits").stages[0] == "fetch@digits"


def test_a_dataset_may_be_called_as_a_stage_is(params: Params) -> None:
    content = params.model_dump()
    content["datasets"]["resolve_data"] = content["datasets"]["digits"]
    content["boards"]["own"] = {**content["boards"]["quick"], "datasets": ["resolve_data"]}
    found = dataset_chain(Params.model_validate(content), "own", "resolve_data").stages
    file = "boards/datasets/resolve_data/dvc.yaml"
    assert found == tuple(f"{file}:{stage}@resolve_data" for stage in ("fetch", "extractor", "reference"))


def test_a_part_of_a_board_is_chosen_and_nothing_is_written(params: Params) -> None:
    before = Path("params.yaml").read_bytes()
    part = part_of(params, "digits", datasets=None, variants="wgan,vae", seeds="2")
    assert (part.datasets, part.variants, part.seeds) == (["digits"], ["vae", "wgan"], [2])
    assert Path("params.yaml").read_bytes() == before
    with pytest.raises(ConfigError, match="--variants: the board digits has no kde; it has vae, gan"):
        part_of(params, "digits", variants="kde")
    with pytest.raises(ConfigError, match="boards has no entry 'dgits'; known: digits, quick"):
        part_of(params, "dgits")


def test_a_cell_is_missing_stale_or_fresh(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for variant in ("vae", "gan", "wgan"):
        folder = Cell("digits", "digits", variant, 0).folder
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text("{}")

    def state(variant: str, seed: int, *stale: str) -> str:
        return runner.cell_states(params, "digits", stale)[Cell("digits", "digits", variant, seed)]

    changed = ("sample@digits-gan-0", "train@digits-vae-1", "leaderboard")
    assert state("vae", 0, *changed) == "fresh"
    assert state("gan", 0, *changed) == "stale"
    assert state("vae", 1, *changed) == "missing"
    assert state("vae", 0, "reference@digits") == "stale"


def test_stages_run_on_one_thread_with_this_interpreter_first() -> None:
    environ = runner.environment("cuda")
    assert environ["OMP_NUM_THREADS"] == "1"
    assert environ["GM_BENCH_DEVICE"] == "cuda"
    assert environ["PATH"].split(os.pathsep)[0] == str(Path(runner.sys.executable).parent)


def test_chains_run_side_by_side_and_tell_what_became_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of DVC a script that fails for one name and waits for its neighbour for the others."""
    script = tmp_path / "dvc.sh"
    script.write_text(
        'for last; do :; done\necho "Running stage \'$last\':"\ntouch "$last"\n'
        '[ "$last" = bad ] && { echo reason; exit 3; }\n'
        "for i in $(seq 100); do [ -e left ] && [ -e right ] && exit 0; sleep 0.05; done; exit 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    chains = [Chain(name, (name,)) for name in ("left", "right", "bad")]
    runner.run_layer(chains, 2, dict(os.environ))
    assert [chain.state for chain in chains] == ["done", "done", "failed"]
    assert chains[2].output[-1] == "reason"


def test_parts_of_a_chain_run_side_by_side_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts wait for each other, and the chain ends well only where both were there before it began."""
    dvc = tmp_path / "dvc.sh"
    dvc.write_text("[ -e left.done ] && [ -e right.done ]\n")
    part = tmp_path / "part.py"
    part.write_text(
        "import sys, time, pathlib\npathlib.Path(sys.argv[1]).touch()\nprint('at work on', sys.argv[1])\n"
        "other = pathlib.Path({'left': 'right', 'right': 'left'}[sys.argv[1]])\n"
        "end = time.monotonic() + 60\nwhile not other.exists():\n"
        "    time.sleep(0.02)\n    assert time.monotonic() < end\n"
        "time.sleep(0.5 * (sys.argv[1] == 'right'))\npathlib.Path(sys.argv[1] + '.done').touch()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("bash", str(dvc)))
    chain = Chain("cell", ("stage",), parts=(("part", "left"), ("part", "right")))
    runner.run_layer([chain], 2, os.environ | {"PYTHONPATH": str(tmp_path)})
    assert chain.state == "done"
    assert sorted(chain.output) == ["at work on left", "at work on right"]
    for name in ("left", "right"):
        (tmp_path / f"{name}.done").unlink()
    chain.output.clear()
    runner.run_layer([chain], 1, os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (chain.state, chain.output) == ("failed", []), "one after another the stage itself does them"


def test_a_searchs_parts_are_its_trials_where_the_search_is_stale(params: Params) -> None:
    cell = Cell("search", "digits", "vae", 0)
    chain = cell_chain(params, cell)
    stale = [stage for stage in chain.stages if "search@" in stage]
    parts = parts_of(params, chain, stale)
    assert len(parts) == 50
    assert parts[7] == ("pipelines.search.trial", "search", "digits", "vae", "0", "7")
    assert parts_of(params, chain, [stage for stage in chain.stages if stage not in stale]) == ()
    other = cell_chain(params, Cell("digits", "digits", "vae", 0))
    assert parts_of(params, other, other.stages) == ()


def test_a_stage_that_was_stopped_stops_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage ends with 130 after Ctrl-C; DVC passes that on as a failure with these words."""
    script = tmp_path / "dvc.sh"
    script.write_text("echo 'ERROR: failed to run: python -m pipelines.train, exited with 130'; exit 255\n")
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    chains = [Chain(name, (name,)) for name in ("first", "second")]
    with pytest.raises(KeyboardInterrupt):
        runner.run_layer(chains, 1, dict(os.environ))
    assert [chain.state for chain in chains] == ["stopped", "waiting"]


def test_the_ui_listens_on_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    from gm_bench.tracking.store import Store  # late: the other tests do without MLflow
    from gm_bench.tracking.views import Columns

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    called: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda path, words, environ: called.append((words, environ)))
    refused = CliRunner().invoke(cli.app, ["ui"])
    assert refused.exit_code == 1
    assert "make repro publishes the results" in refused.output
    shutil.copy(migrated, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    Store().describe("digits/digits", Columns(IMAGES, ["fid"]))
    told = CliRunner().invoke(cli.app, ["ui", "--port", "5123"])
    assert told.output.startswith(
        "digits/digits: http://127.0.0.1:5123/#/experiments/1/runs?viewStateShareKey="
    )
    ((arguments, environ),) = called
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--port") + 1] == "5123"
    assert environ["MLFLOW_BACKEND_STORE_URI"] == f"sqlite+pysqlite:///{tmp_path}/mlflow.db"
    assert not [word for word in arguments if "sqlite" in word], "an address may have a password in it"


REFUSED = {
    "no images": (("nowhere", "--reference", "digits"), "nowhere does not exist: give a folder"),
    "no reference": ((".", "--reference", "./nowhere"), "nowhere does not exist: give a folder"),
    "no dataset": ((".", "--reference", "emoji"), "--reference is 'emoji', and there is no such path here"),
    "channels": ((".", "--reference", ".", "--channels", "gray"), "--channels is 'gray'; allowed: grey, rgb"),
    "range": ((".", "--reference", ".", "--range", "0,255"), "--range is '0,255'; allowed: 0,1 and -1,1"),
    "extractor": ((".", "--reference", ".", "--extractor", "vgg"), "there is no extractor 'vgg'; choose"),
    "overwriting": (("a.npz", "--reference", ".", "--json", "a.npz"), "--json names a.npz, which is read"),
    "a row into a folder": ((".", "--reference", ".", "--json", "."), "--json names ., which is a folder"),
    "a row into a file": (
        (".", "--reference", ".", "--json", "a.npz/b/c"),
        "--json names a.npz/b/c, but nothing can be written in a.npz",
    ),
    "of real images": ((".", "--reference", "r.safetensors", "--n", "9"), "--extractor, --reference-key and"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_evaluated_is_refused_before_torch_is_imported(tmp_path: Path, case: str) -> None:
    arguments, sentence = REFUSED[case]
    (tmp_path / "a.npz").touch()
    save_file({"x": np.zeros(1)}, tmp_path / "r.safetensors", {"kind": "gm-bench reference"})
    program = (
        "import sys\n"
        "from gm_bench.cli import app\n"
        "try:\n"
        f"    app(['evaluate', *{arguments!r}])\n"
        "except SystemExit as end:\n"
        "    print(end.code, 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stdout.split() == ["1", "False"]


def test_an_extractor_that_comes_with_the_package_is_none_that_is_refused() -> None:
    assert set(pinned_weights()) == set(pinned_datasets())


PASSED_OVER = {
    "run --gpus-per-cell 1": "--gpus-per-cell shares out the GPUs of a Ray: give --on as well",
    "check --most-seeds 8": "--most-seeds is of further seeds: give --resolve as well, or leave it out",
    "check --update -j 2": "--jobs is of further seeds: give --resolve as well, or leave it out",
    "check --update --summary s.md": "--summary holds a verdict, and with --update there is none",
    "check --summary r/digits/d.json": "--summary is Markdown, which r/digits/d.json is not",
    "check --board claims --summary b.yaml": "--summary is Markdown, which b.yaml is not: let",
    "check --board claims --baseline HEAD": "--baseline does not go with --board: gm-bench run",
    "check --board claims --leaderboard x": "--leaderboard does not go with --board: gm-bench run --board",
    "check --board claims --update": "--update does not go with --board: gm-bench run",
    "check --board claims --jobs 2": "--jobs does not go with --board: gm-bench run --board claims makes the",
    "interpolate d/gan/0 --search-steps 9": "--search-steps is of the search for codes of test images: give",
    "interpolate d/gan/0 --images 0 1 --class 3": "--class is of drawn codes: leave it out, or --images",
    "interpolate d/gan/0 --images 0 1 --rows 3": "--rows is of drawn codes: leave it out, or --images",
}


@pytest.mark.parametrize(
    "words",
    [
        "sample d/vae/0 -n",
        "interpolate d/vae/0 --steps",
        "interpolate d/vae/0 --rows",
        "reconstruct d/vae/0 -n",
    ],
)
def test_a_picture_of_more_than_can_be_looked_at_is_refused_first(words: str) -> None:
    refused = CliRunner().invoke(cli.app, [*words.split(), "1000000000000"])
    assert refused.exit_code == 2
    assert "less than or equal to 10000" in " ".join(refused.stderr.split())


IN_ONES_HOME = {
    "sample d/vae/0 --out=~/a.jpg": "/a.jpg is no name for a PNG file",
    "interpolate d/vae/0 --out=~/a.jpg": "/a.jpg is no name for a PNG file",
    "reconstruct d/vae/0 --out=~/a.jpg": "/a.jpg is no name for a PNG file",
    "evaluate . --reference . --json=~/b": "/b, which is a folder: name a file in it",
    "check --leaderboard=~/d.json": "/d.json is not there",
    "compare gan vae --leaderboard=~/d.json": "/d.json is not there",
}


@pytest.mark.parametrize("words", IN_ONES_HOME)
def test_files_may_be_named_in_ones_home(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of --json=~/row.json a shell leaves the ~, and the row was written into a folder of that name."""
    (tmp_path / "home/b").mkdir(parents=True)
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    refused = CliRunner().invoke(cli.app, words.split())
    assert refused.exit_code in (1, 2)
    assert f"{tmp_path}/home{IN_ONES_HOME[words]}" in refused.stderr
    assert not Path("~").exists()


def test_no_option_that_names_a_file_leaves_the_home_out() -> None:
    apps = (cli.app, cli.reference_app, cli.pictures.app)
    commands = [each.callback for app in apps for each in app.registered_commands if each.callback]
    found = {}
    for command in commands:
        for name, kind in get_type_hints(command, include_extras=True).items():
            if get_origin(kind) is Annotated and Path in (get_args(kind)[0], *get_args(get_args(kind)[0])):
                found[f"{command.__name__} {name}"] = kind.__metadata__[0].callback is cli.pictures.at_home
    assert len(found) == 13
    # of images the messages name the path as it was typed, and what reads them expands it
    assert {name for name, is_expanded in found.items() if not is_expanded} == {"add path", "evaluate images"}


@pytest.mark.parametrize("words", PASSED_OVER)
def test_no_option_is_passed_over_in_silence(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(cli.app, words.split())
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {PASSED_OVER[words]}")
