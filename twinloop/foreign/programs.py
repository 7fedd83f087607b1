"""All other trainers that a dataset can be written for."""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.foreign import aitoolkit, kohya, musubi, onetrainer, simpletuner
from twinloop.foreign.program import Program

PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (kohya.PROGRAM, aitoolkit.PROGRAM, onetrainer.PROGRAM, simpletuner.PROGRAM, musubi.PROGRAM)
}
