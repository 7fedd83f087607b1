"""What every section of the configuration is made of: typed fields, and what must fit together among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Clash:
    """Fields that are right each by itself and do not go together.

    Attributes:
        fields: those that it is about, dots for sections; where one of them is wrong anyway, nothing can be said.
        problem: what does not fit, and what to do. section: where it is told, "" = of the file as a whole.
    """

    fields: tuple[str, ...]
    problem: str
    section: str = ""


class Clashes(ValueError):
    """All that does not fit together; pydantic takes one error from a validator."""

    def __init__(self, found: Sequence[Clash]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(clash.problem for clash in found))


class Section(BaseModel):
    """Frozen fields; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def clashes(self) -> Iterator[Clash]:
        """What does not fit together, by the section's own names of the fields. Asked when every field is right by itself."""
        yield from ()
