"""Settings -> everything a run needs."""

from __future__ import annotations

from dataclasses import fields

from twinloop.config import Settings
from twinloop.ports import Reporter
from twinloop.stages.toolbox import Makers, Toolbox
from twinloop.store.clock import SystemClock
from twinloop.wiring.makers import build_makers, obstacles
from twinloop.wiring.measuring import build_observer


def build_toolbox(settings: Settings, reporter: Reporter) -> Toolbox:
    """Everything a run needs."""
    makers = build_makers(settings, reporter.warn)
    if makers.notice:
        reporter.warn(makers.notice)
    for obstacle in obstacles(settings, makers):
        raise obstacle
    observer = build_observer(settings.models_dir, settings.analysis.plugins, settings.analysis.facets)
    shared = {field.name: getattr(makers, field.name) for field in fields(Makers)}
    return Toolbox(**shared, observer=observer, clock=SystemClock(), reporter=reporter)
