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

from dvc import dvcfile
from dvc.cli import main
from dvc.stage import run as stage_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils import serialize
from ruamel.yaml import YAML

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
    content = serialize.parse_yaml(text, path)
    yield content
    # As io.atomic does, less the two seconds that its import of torch would cost every DVC.
    temporary = Path(f"{path}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            _writer().dump(content, file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _writer() -> YAML:
    writer = YAML(typ="safe")  # in C where ruamel.yaml.clib is installed
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.representer.add_representer(OrderedDict, type(writer.representer).represent_dict)
    return writer


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
