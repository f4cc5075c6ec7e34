"""From figures and pictures to one self-contained HTML page."""

import base64
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unfeature.diagnostics import Diagnosis
from unfeature.evaluate.criteria import Criterion, overall
from unfeature.evaluate.verdict import Pairs, Verdict
from unfeature.labels import LatentSet
from unfeature.pictures import grid, png
from unfeature.report import plots
from unfeature.report.html import template
from unfeature.report.words import attack_rows, attack_text, examination_text, human_text
from unfeature.target import TargetVector

MEASURES = (
    ("fid", "FID"),
    ("kid", "KID"),
    ("inception_score", "IS"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("density", "density"),
    ("coverage", "coverage"),
    ("diversity", "diversity"),
)
"""Figures of quality, and their column heads."""


@dataclass(frozen=True)
class Gallery:
    """A grid of the same latents in four rows, and what was picked."""

    title: str
    note: str
    image: str


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes:
        facts: settings, seeds, versions and hashes, as printable pairs.
        settings: the resolved settings, as TOML.
        command: what makes this run again.
        labeling: notes on the labeller, e.g. a distilled classifier's accuracy.
        pairs: at least those that `shown` names.
        examination: what `unfeature.examination` found.
        perfect: a PNG of avatars and their counterfactuals, where these are known.
        human: what a person found, if one was asked (`unfeature.evaluate.human.Human`).
        attack: what the attacks came to, if there were any (`unfeature.attacking`).
        criteria: what was decided against limits.
        labelled: share of the labelled pictures that show the feature, where who labelled them is
            also who the checks ask: not a person.
        history: one dictionary a step.
        threshold: of a linear gate, else None.
    """

    feature: str
    verdict: Verdict
    diagnosis: Diagnosis
    labels: LatentSet
    labelled: float | None
    target: TargetVector
    threshold: float | None
    eraser: str
    labeling: tuple[str, ...]
    pairs: Pairs
    examination: dict[str, Any]
    perfect: bytes | None
    human: dict[str, Any] | None
    attack: dict[str, Any] | None
    criteria: tuple[Criterion, ...]
    history: list[dict[str, Any]]
    facts: dict[str, str]
    settings: str
    command: str
    columns: int


def sentence(feature: str, verdict: Verdict) -> str:
    """The verdict in plain language, one paragraph."""
    left, before = verdict.unlearned, verdict.original
    share = left.value / before.value if before.value else 0.0
    return (
        f"Of {before.n} fresh pictures, {before.value:.1%} showed “{feature}” before and "
        f"{left.value:.2%} show it now (95% interval {left.low:.2%} to {left.high:.2%}): "
        f"{share:.1%} of the original share is left. The {verdict.negatives} pictures that never "
        f"had it moved by {verdict.negatives_l1.value:.4f} on average (mean L1, images in [−1, 1]; "
        f"MS-SSIM {verdict.negatives_msssim:.4f})."
    )


def render(data: ReportData) -> str:
    """The page."""
    scores = data.target.score(data.labels.latents)
    return template("report.html").render(
        data=data,
        verdict=data.verdict,
        sentence=sentence(data.feature, data.verdict),
        galleries=[
            Gallery(title, note, _strip(data.pairs, rows))
            for title, note, rows in picks(data.pairs, data.columns)
        ],
        examined=examination_text(data.examination)
        + (human_text(data.human) if data.human else []),
        perfect=base64.b64encode(data.perfect).decode() if data.perfect else "",
        outcome=overall(data.criteria),
        attack=attack_rows(data.attack) if data.attack else [],
        attack_notes=attack_text(data.attack) if data.attack else [],
        sieges=_attack_charts(data.attack) if data.attack else [],
        changes=[
            (name, plots.change_bars(row["changes"]))
            for name, row in data.examination.get("collateral", {}).items()
        ],
        loss=plots.loss_curves(data.history) if data.history else "",
        ratio=plots.ratio_curve(data.history, data.labelled) if data.history else "",
        histogram=plots.score_histogram(scores, data.labels.labels, data.threshold),
        quality={name: asdict(value) for name, value in data.verdict.quality.items()},
        measures=MEASURES,
    )


def _attack_charts(attack: dict[str, Any]) -> list[str]:
    charts = plots.success_curves(attack["generators"])
    if attack.get("relearning"):
        charts.append(plots.relearning_curves(attack["relearning"]))
    return charts


def picks(pairs: Pairs, columns: int) -> list[tuple[str, str, Int[Tensor, " k"]]]:
    """Title, note and rows of each gallery: random pictures with and without the feature, and the
    worst of both kinds."""
    had = (pairs.score_original > 0).nonzero().squeeze(1)
    lacked = (pairs.score_original <= 0).nonzero().squeeze(1)
    every = torch.arange(len(pairs.seeds)).to(had)
    found = (
        (
            "Random pictures",
            "the first latents of the evaluation",
            every,
        ),
        ("Pictures that had the feature", "the first of them", had),
        ("Pictures that never had it", "the first of them", lacked),
        (
            "Worst: nearest to the feature",
            "the highest scores by the judge after unlearning; above zero it is still there",
            pairs.score_unlearned.argsort(descending=True),
        ),
        (
            "Worst: changed most",
            "of those that never had the feature, by L1",
            lacked[pairs.l1[lacked].argsort(descending=True)],
        ),
    )
    return [(title, note, rows[:columns]) for title, note, rows in found if len(rows)]


def shown(pairs: Pairs, columns: int) -> Int[Tensor, " k"]:
    """The rows that the galleries show, in their order; of these alone the galleries are equal."""
    return torch.cat([rows for _, _, rows in picks(pairs, columns)]).unique()


def _strip(pairs: Pairs, rows: Int[Tensor, " k"]) -> str:
    before, erased, after = pairs.original[rows], pairs.erased[rows], pairs.unlearned[rows]
    difference: Float[Tensor, "k c h w"] = ((after - before).abs() - 1).clamp(-1, 1)
    sheet = grid(torch.cat([before, erased, after, difference]), len(rows))
    zoom = 2 if before.shape[-1] < 48 else 1
    return base64.b64encode(png(sheet, zoom=zoom)).decode()
