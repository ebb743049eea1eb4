"""The pages' templates."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from gm_bench.report.drawing import COLOURS, FAMILY_INKS


def templates() -> Environment:
    """Templates in which everything is text unless a template says otherwise."""
    made = Environment(
        loader=PackageLoader("gm_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["family_colours"] = [COLOURS[ink] for ink in FAMILY_INKS]
    return made
