"""Templates -> one self-contained page that may load nothing from anywhere."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from twinloop.domain.wording import plural
from twinloop.report import words


def rendered(template: str, **content: Any) -> str:
    """A page as text, with the style and script that all pages share."""
    templates = _templates()
    style, script = (_source(templates, name) for name in ("style.css", "print.js"))
    return templates.get_template(template).render(
        style=Markup(style), script=Markup(script), policy=_policy(style, script), **content
    )


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("twinloop.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers = (words.words, words.title, words.number, words.signed, words.percent, plural, words.listed)
    templates.filters.update({helper.__name__: helper for helper in helpers})
    return templates


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0].strip()


def _policy(style: str, script: str) -> str:
    """A content security policy under which the page can load nothing from anywhere: only its own style, script and
    pictures.
    """
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri"
        " 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
