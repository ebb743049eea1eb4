"""DVC's command line (python -m gm_bench.running.dvc), spending no more time than it must.

DVC parses params.yaml once for every stage, and after every stage reads and writes the whole of dvc.lock
with a parser that keeps comments, of which a lock file has none. Both grow with the number of stages
(benchmarks/bookkeeping.py measures it). Here params.yaml is parsed once, and dvc.lock goes through the
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

import yaml
from dvc import dvcfile
from dvc.cli import main
from dvc.stage import run as stage_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils import serialize
from ruamel.yaml.resolver import implicit_resolvers

from gm_bench.replacing import replacing
from gm_bench.running import warm

Content = MutableMapping[str, Any]
PLAIN = re.compile(r"[\w ./:=@+-]+")  # of which a shell would make nothing else
of_shell = stage_run._run


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
    sys.exit(main(sys.argv[1:]))
