"""The pages' templates."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from gm_bench.report.drawing import COLOURS, FAMILY_INKS


def templates(track: str | None = None) -> Environment:
    """Templates in which everything is text unless a template says otherwise.

    Args:
        track: a package that has templates of its own beside these.
    """
    packages = ["gm_bench.report", *([track] if track else [])]
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["family_colours"] = [COLOURS[ink] for ink in FAMILY_INKS]
    return made
