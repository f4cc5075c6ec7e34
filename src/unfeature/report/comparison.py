"""The table of a comparison, as text and as a page with plots and pictures."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from unfeature.evaluate.contest import beyond
from unfeature.evaluate.statistics import corrected, mean
from unfeature.pictures import grid, png
from unfeature.report import plots
from unfeature.report.html import template
from unfeature.report.words import spanned

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A method in the table.

    Attributes:
        measured: `Measured` of each training seed, as dictionaries.
        duels: of each seed, ours against it (`contest.Duel`); empty for ours and the original.
        costs: of each seed, `seconds` and `megabytes`.
        paired: whether a latent means the same picture to it and to the original.
        needs_data: whether it saw training data.
        weights: whether the result is a set of weights, and no filter.
    """

    name: str
    measured: tuple[Figures, ...]
    duels: tuple[Figures, ...]
    costs: tuple[Figures, ...]
    paired: bool
    needs_data: bool
    weights: bool

    def as_dict(self) -> Figures:
        return asdict(self)

    def values(self, *path: str) -> list[float]:
        """One figure for each seed; empty where it was not measured."""
        found = []
        for figures in self.measured:
            value: Any = figures
            for key in path:
                value = value.get(key) if value else None
            if value is not None:
                found.append(float(value))
        return found

    @property
    def notes(self) -> str:
        """What a reader must know of it, in a word or two."""
        words = [
            "needs data" if self.needs_data else "",
            "" if self.weights else "filter, can be left out",
            "" if self.paired else "other latents",
        ]
        return ", ".join(word for word in words if word)

    @property
    def point(self) -> tuple[float, float] | None:
        """Mean target ratio, and mean L1 where the feature never was."""
        target, l1 = self.values("target", "value"), self.values("l1", "value")
        if not target or not l1:
            return None
        return fmean(target), fmean(l1)


COLUMNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("left", ("target", "value"), ".2%"),
    ("a rest, had it", ("rests", "value"), ".1%"),
    ("L1 elsewhere", ("l1", "value"), ".4f"),
    ("changed, had it", ("having", "changed", "value"), ".2f"),
    ("changed, never had it", ("lacking", "changed", "value"), ".2f"),
    ("FID", ("quality", "fid"), ".2f"),
    ("KID", ("quality", "kid"), ".3f"),
    ("IS", ("quality", "inception_score"), ".2f"),
    ("precision", ("quality", "precision"), ".2f"),
    ("recall", ("quality", "recall"), ".2f"),
    ("density", ("quality", "density"), ".2f"),
    ("coverage", ("quality", "coverage"), ".2f"),
    ("diversity", ("quality", "diversity"), ".2f"),
)
"""Title, where it is measured, format."""
SPANNED = ("left", "a rest, had it", "changed, had it", "changed, never had it")
"""Columns that show the interval of one training."""


COLLATERAL = (
    ("L1 elsewhere (pictures that never had it)", ("l1",)),
    ("what else changed (pictures that never had it)", ("lacking", "changed")),
)
"""What else changed, in the plots: title, where it is measured."""
DIFFERENCES = (
    ("target ratio", "target", "+.2%"),
    ("L1", "l1", "+.4f"),
    ("changed", "changed", "+.2f"),
)
"""Of ours to another method's: title, key, format."""
CLASS_DIFFERENCES = (*DIFFERENCES[:-1], ("changed", "changed", "+.1%"))
"""The same where what else changed is the share of another class."""


def cells(row: Row) -> dict[str, str]:
    """The row, by column."""
    found = {"method": row.name}
    for title, path, form in COLUMNS:
        values = row.values(*path)
        if any(row.values(path[0], "exclusive")):
            form = ".1%"  # of pictures that changed their class
        if title in SPANNED and len(values) == 1:
            ends = {key: row.values(*path[:-1], key)[0] for key in ("value", "low", "high")}
            found[title] = spanned(ends, form)
        else:
            found[title] = _spread(values, form)
    for title, key in (("seconds", "seconds"), ("MB", "megabytes")):
        found[title] = _spread([cost[key] for cost in row.costs], ".0f")
    return found | {"notes": row.notes}


def _spread(values: Sequence[float], form: str) -> str:
    """Mean ± standard deviation over seeds; a dash where nothing was measured."""
    if not values:
        return "–"
    middle = fmean(values)
    text = format(middle, form)
    if len(values) == 1:
        return text
    deviation = math.sqrt(sum((v - middle) ** 2 for v in values) / (len(values) - 1))
    return f"{text} ± {format(deviation, form)}"


def used(rows: Sequence[Row]) -> list[dict[str, str]]:
    """All rows, without the columns in which nothing was measured."""
    found = [cells(row) for row in rows]
    kept = [key for key in found[0] if any(row[key] not in ("–", "") for row in found)]
    return [{key: row[key] for key in kept} for row in found]


def table(rows: Sequence[Row], *, facts: Mapping[str, str] | None = None) -> str:
    """A Markdown table, and below it where ours stands.

    Args:
        facts: how all rows were measured, for the last line.
    """
    lines = used(rows)
    heads = list(lines[0])
    text = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    text += ["| " + " | ".join(row.values()) + " |" for row in lines]
    told = [f"{key}: {fact}" for key, fact in (facts or {}).items()]
    last = [f"- measured: {'; '.join(told)}"] if told else []
    return "\n".join([*text, "", *standing(rows), *last]) + "\n"


def standing(rows: Sequence[Row]) -> list[str]:
    """For every other method, what the same latents say of the difference to ours; q is the p-value
    corrected for all of these differences together (`unfeature.evaluate.statistics.corrected`)."""
    ours = next((row for row in rows if row.costs and not row.duels), None)
    floor = max(
        (_apart(row.values("target", "value")) for row in rows if _is_floor(row)), default=0
    )
    q = _corrected(rows)
    lines = []
    for row in rows:
        if not row.duels or ours is None:
            continue
        shares = any(ours.values("lacking", "exclusive"))
        parts = [
            f"{title} {_difference(row.duels, key, form, q.get((row.name, key)))}"
            for title, key, form in (CLASS_DIFFERENCES if shares else DIFFERENCES)
            if row.duels[0][key] is not None
        ]
        where = ""
        if row.point and ours.point and row.weights:
            where = "; on or past its front" if beyond(ours.point, row.point) else "; BEHIND it"
        left, own = (fmean(r.values("target", "value")) for r in (row, ours))
        if abs(own - left) < floor:
            where += " (target ratio: below the floor)"
        seeds = f" over {len(row.duels)} seeds" if len(row.duels) > 1 else ""
        lines.append(f"- {ours.name} − {row.name}: {', '.join(parts)}{seeds}{where}")
    return lines + [line for row in rows if (line := _floor(row))]


def _corrected(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """By method and figure, the q-value of every difference of one training, NaN where p is."""
    p = {
        (row.name, key): row.duels[0][f"p_{key}"]
        for row in rows
        if len(row.duels) == 1
        for _, key, _ in DIFFERENCES
        if row.duels[0][key] is not None
    }
    known = {at: value for at, value in p.items() if math.isfinite(value)}
    return p | dict(zip(known, corrected(list(known.values())), strict=True))


def _is_floor(row: Row) -> bool:
    """Whether it is several trainings of the same recipe."""
    return not row.paired and len(row.measured) > 1


def _apart(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _floor(row: Row) -> str:
    """How far trainings of the same recipe lie apart: what is less than that is no difference."""
    if not _is_floor(row):
        return ""
    parts = [
        f"{title} {_apart(values):{form}}"
        for title, path, form in COLUMNS
        if path[0] in ("target", "quality") and (values := row.values(*path))
    ]
    return f"- the floor, {row.name}: {len(row.measured)} trainings lie apart by {', '.join(parts)}"


def _difference(duels: Sequence[Figures], key: str, form: str, q: float | None) -> str:
    """The difference on the same latents with its q-value; of several seeds, the mean of theirs
    with its t-interval."""
    if q is not None:
        said = "q < 1e-300" if q < 1e-300 else f"q = {q:.2g}"
        return f"{duels[0][key]['value']:{form}} ({said})"
    found = mean(torch.tensor([duel[key]["value"] for duel in duels]))
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


CHANGED = (("had it", "having"), ("never had it", "lacking"))
"""Pictures whose other attributes are shown: title, where they are measured."""


def render_comparison(
    feature: str,
    rows: Sequence[Row],
    viewer: dict[str, Tensor],
    *,
    facts: dict[str, str] | None = None,
) -> str:
    """The page: table, target ratio against collateral, the same latents by every method, and
    which attributes changed.

    Args:
        facts: how all were measured.
    """
    bars = {
        title: [
            (row.name, plots.change_bars(row.measured[0][key]["changes"]))
            for row in rows
            if row.paired and row.measured[0][key] and (row.costs or row.duels)
        ]
        for title, key in CHANGED
    }
    return template("comparison.html").render(
        feature=feature,
        rows=used(rows),
        standing=standing(rows),
        fronts=[
            plots.fronts(points, title)
            for title, path in COLLATERAL
            if len(points := _points(rows, path)) > 1
        ],
        names=list(viewer),
        sheet=base64.b64encode(sheet(viewer)).decode(),
        bars=bars,
        facts=facts or {},
        n=rows[0].measured[0]["target"]["n"],
    )


def sheet(viewer: dict[str, Tensor]) -> bytes:
    """A PNG: one row a method, one column a latent."""
    columns = min(len(images) for images in viewer.values())
    page = grid(torch.cat([images[:columns] for images in viewer.values()]), columns)
    return png(page, zoom=2 if next(iter(viewer.values())).shape[-1] < 48 else 1)


def _points(
    rows: Sequence[Row], path: tuple[str, ...]
) -> list[tuple[str, plots.Extent, plots.Extent]]:
    """Where the methods lie in a plot: name, target ratio, and what else changed."""
    return [
        (row.name, _extent(row, ("target",)), _extent(row, path))
        for row in rows
        if row.values(*path, "value")
    ]


def _extent(row: Row, path: tuple[str, ...]) -> plots.Extent:
    """A figure with its interval: over seeds, or else of the one run."""
    values = row.values(*path, "value")
    low, high = min(row.values(*path, "low")), max(row.values(*path, "high"))
    return plots.Extent(fmean(values), low, high)
