"""``twinloop facets``: the axes of variety, their values, wanted shares and words."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_facets(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.cli.tables import columns
    from twinloop.wiring import chosen_facets

    facets, _ = chosen_facets(tuple(args.facet or ()), None)
    rows = [("Facet", "Value", "Share", "Words")]
    for facet in facets:
        for number, value in enumerate(facet.values):
            share = facet.shares.get(value)
            name = facet.name if number == 0 else ""
            rows.append(
                (name, value, "-" if share is None else f"{100 * share:g}%", " | ".join(facet.phrases[value].prose))
            )
    for line in columns(rows, right=(2,)):
        terminal.line(line)
    return {
        "facets": [
            {
                "name": facet.name,
                "values": list(facet.values),
                "multiple": facet.multiple,
                "shares": dict(facet.shares),
                "needs": list(facet.needs),
                "phrases": {
                    value: {"prose": list(p.prose), "tags": [text for text in p.tags if text]}
                    for value, p in facet.phrases.items()
                },
            }
            for facet in facets
        ]
    }


COMMAND = Command("facets", "List the facets: values, wanted shares, words.", configure, run)
