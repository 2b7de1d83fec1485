"""A page from its template and the style sheet that all pages share; nothing is loaded from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

__all__ = ["rendered"]


def rendered(package: str, **content: Any) -> str:
    """Fill the ``page.html`` of a package.

    Parameters
    ----------
    package : str
        Such as ``labkit.report``.
    **content
        What the template names; ``css`` is given.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(files(package).joinpath("page.html").read_text("utf-8"))
    return template.render(css=files("labkit.report").joinpath("page.css").read_text("utf-8"), **content)
