"""Do harm to a tiny pipeline and see that the next run makes it good: python tests/faults/run.py [NAME …]

Each fault is a function in a module beside this one; README.md has what came of them. Some need root, or a
package of the system: they are skipped with the reason. Exit code 1 if one was not survived.
"""

import argparse
import inspect
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import damage  # noqa: E402
import interruptions  # noqa: E402
import surroundings  # noqa: E402
from harness import Site, Skipped, say  # noqa: E402

FAULTS: dict[str, Callable[[Site], None]] = {
    name.replace("_", "-"): fault
    for module in (interruptions, surroundings, damage)
    for name, fault in vars(module).items()
    if inspect.isfunction(fault)
    and fault.__module__ == module.__name__
    and inspect.get_annotations(fault) == {"site": Site, "return": None}
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument("--work", type=Path, help="a folder to work in, and to look at afterwards")
    options = parser.parse_args()
    unknown = set(options.names) - FAULTS.keys()
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; known: {', '.join(FAULTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are deaf to Ctrl-C
    with tempfile.TemporaryDirectory() as temporary:
        site = Site((options.work or Path(temporary)).resolve())
        site.know()
        survived = [suffer(site, name) for name in options.names or FAULTS]
    sys.exit(0 if all(survived) else 1)


def suffer(site: Site, name: str) -> bool:
    """Try one fault and say what came of it."""
    say(f"{name}: {FAULTS[name].__doc__}")
    began, cpu = time.monotonic(), cpu_seconds()
    try:
        FAULTS[name](site)
        outcome = "survived"
    except Skipped as reason:
        outcome = f"skipped: {reason}"
    except AssertionError:
        say(traceback.format_exc())
        outcome = "NOT SURVIVED"
    spent = f"{time.monotonic() - began:.0f} s, {cpu_seconds() - cpu:.0f} s of CPU"
    say(f"  → {outcome} ({spent})")
    return outcome != "NOT SURVIVED"


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
