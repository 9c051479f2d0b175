"""Figures beside what they should be, as a table; those that miss it are marked."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is what it should be; a number without a bound always is."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        bound = "" if self.at_least is None else f">= {self.at_least:g}"
        bound = bound if self.at_most is None else f"<= {self.at_most:g}"
        return f"  {self.name:58} {self.value:6.3f}  {bound:8}{'' if self.met else ' MISSED'}"


@dataclass(frozen=True)
class Figures:
    """What a run of a benchmark measured; each is printed as it comes."""

    measured: list[Figure] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Of those that follow."""
        print(text, flush=True)

    def add(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """One more, with its bound if it has one."""
        figure = Figure(name=name, value=float(value), at_least=at_least, at_most=at_most)
        self.measured.append(figure)
        print(figure, flush=True)

    def summary(self) -> None:
        """How many bounds were missed."""
        bound = [f for f in self.measured if f.at_least is not None or f.at_most is not None]
        missed = sum(not figure.met for figure in bound)
        print(f"{missed} of {len(bound)} bounds missed")
