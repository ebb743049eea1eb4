"""DVC's command line (python -m gm_bench.running.dvc), spending no more time than it must.

DVC parses params.yaml once for every stage and all of dvc.yaml and dvc.lock once for every stage that it is
asked for, and after every stage reads and writes the whole of dvc.lock, with parsers that keep comments, of
which a lock file has none. All of it grows with the number of stages (benchmarks/bookkeeping.py and
benchmarks/cluster.py measure it). Here each file is parsed once for each state of it, and dvc.lock by the
parser written in C. The lock file is the same, and never half of it: it is replaced whole.

Commands of stages are run as DVC runs them, but by the server of `gm_bench.running.warm` where there is one.
"""

import re
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import yaml
from dvc import dvcfile
from dvc.cli import main
from dvc.repo import Repo
from dvc.stage import run as stage_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.stage.loader import StageLoader
from dvc.utils import serialize
from ruamel.yaml.resolver import implicit_resolvers

from gm_bench.replacing import replacing
from gm_bench.running import warm

Content = MutableMapping[str, Any]
State = tuple[tuple[int, int] | None, ...]
PARAMS = "params.yaml"
ENTRIES = {"cmd", "deps", "params", "outs"}  # of a stage in a lock file
PLAIN = re.compile(r"[\w ./:=@+-]+")  # of which a shell would make nothing else
of_shell = stage_run._run
of_lock = dvcfile.Lockfile._load_yaml
_stages: WeakKeyDictionary[Repo, dict[str, tuple[State, StageLoader]]] = WeakKeyDictionary()


def load(path: str, fs: Any = None, **options: Any) -> Content:
    """The content of a YAML file as DVC's own loader has it, parsed once for each state of the file."""
    if fs is not None and fs.protocol != "local":
        content: Content = serialize.load_yaml(path, fs=fs, **options)
        return content
    state = Path(path).stat()
    return _parsed(str(path), state.st_mtime_ns, state.st_size)


@cache
def _parsed(path: str, mtime_ns: int, size: int) -> Content:
    content: Content = serialize.load_yaml(path)
    return content


def stages_of(file: dvcfile.ProjectFile) -> StageLoader:
    """The stages of a dvc.yaml as DVC loads them, once for each state of what they are read from."""
    if file.repo.fs.protocol != "local":
        return _loaded(file)
    known = _stages.setdefault(file.repo, {})
    lock = file._lockfile.path
    now = tuple(map(_state, (file.path, lock, Path(file.repo.root_dir, PARAMS))))
    if known.get(file.path, (None,))[0] != now:
        known[file.path] = now, _loaded(file)
    return known[file.path][1]


def _loaded(file: dvcfile.ProjectFile) -> StageLoader:
    return file.LOADER(file, file.contents, file.lockfile_contents)


def _state(path: str | Path) -> tuple[int, int] | None:
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size


def load_lock(file: dvcfile.Lockfile, **options: Any) -> tuple[Content, str]:
    """Content and text of a lock file; of one that is no usual one DVC says what is wrong with it."""
    if file.repo.fs.protocol == "local" and not options:
        text = Path(file.path).read_text(encoding="utf-8")
        try:
            content = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError:
            content = None
        if is_usual_lock(content):
            return content, text
    found: tuple[Content, str] = of_lock(file, **options)
    return found


def is_usual_lock(content: Any) -> bool:
    """Whether this is what DVC writes into a lock file: commands, and paths with what is known of them."""
    if (
        not isinstance(content, dict)
        or content.get("schema") != "2.0"
        or content.keys() != {"schema", "stages"}
    ):
        return False
    stages = content["stages"]
    return isinstance(stages, dict) and all(map(_is_usual, stages.values()))


def _is_usual(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() <= ENTRIES
        and isinstance(entry.get("cmd"), str)
        and isinstance(entry.get("params", {}), dict)
        and all(
            isinstance(item, dict) and isinstance(item.get("path"), str)
            for kind in ("deps", "outs")
            for item in entry.get(kind) or ()
        )
    )


@contextmanager
def modify(path: str, fs: Any = None) -> Iterator[Content]:
    """The content of a lock file, to be changed in place and written back; other files go DVC's own way."""
    if Path(path).name != dvcfile.LOCK_FILE:
        with serialize.modify_yaml(path, fs=fs) as content:
            yield content
        return
    text = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
    content = parse(text, path)
    yield content
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(
            content, file, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True
        )


_WORDS: dict[str, list[tuple[str, Any]]] = {}  # what YAML 1.2 takes for no word, by first letter
for _versions, _tag, _pattern, _first in implicit_resolvers:
    if (1, 2) in _versions:
        for _letter in _first:
            _WORDS.setdefault(_letter, []).append((_tag, _pattern))


class _Loader(yaml.CSafeLoader):
    """The parser in C of PyYAML, twice as fast as that of ruamel, reading plain words as YAML 1.2 does."""

    yaml_implicit_resolvers = _WORDS


class _Dumper(yaml.CSafeDumper):
    """Quotes what `_Loader`, and DVC's own parser, would take for something else than words."""

    yaml_implicit_resolvers = _WORDS


_Dumper.add_representer(OrderedDict, _Dumper.represent_dict)


def parse(text: str, path: str) -> Content:
    """The content of a YAML file, by the parser in C; `path` is what an error names."""
    try:
        content: Content = yaml.load(text, Loader=_Loader) or {}
    except yaml.YAMLError:  # DVC's own sentence says what is wrong
        content = serialize.parse_yaml(text, path)
    return content


def run_command(executable: str | None, cmd: str, **options: Any) -> None:
    """Run a stage's command, as `dvc.stage.run._run` does.

    Raises:
        StageCmdFailedError: it did not end with 0.
    """
    words = cmd.split()
    if warm.ADDRESS not in options["env"] or words[:2] != ["python", "-m"] or not PLAIN.fullmatch(cmd):
        of_shell(executable, cmd, **options)
        return
    process = warm.start([sys.executable, *words[1:]], options["env"], folder=options["cwd"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage gets it too, and says what it means
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise StageCmdFailedError(cmd, code)


if __name__ == "__main__":
    stage_run._run = run_command
    serialize.LOADERS[".yaml"] = load
    dvcfile.modify_yaml = modify
    dvcfile.Lockfile._load_yaml = load_lock
    dvcfile.ProjectFile.stages = property(stages_of)
    sys.exit(main(sys.argv[1:]))
