"""The whole path for one experiment: every stage in turn, resumable."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unfeature.adapters.files import read_json, read_record
from unfeature.config import Experiment
from unfeature.errors import UserError
from unfeature.evaluate import Verdict
from unfeature.evaluate.criteria import overall
from unfeature.folder import STAGES, RunFolder
from unfeature.judging import evaluate_stage, report_stage
from unfeature.learning import unlearn_stage
from unfeature.progress import Progress
from unfeature.stages import label_stage, sample_stage, target_stage

Stage = Callable[[RunFolder, Progress], Any]
DO: dict[str, Stage] = {
    "sample": sample_stage,
    "label": label_stage,
    "target": target_stage,
    "unlearn": unlearn_stage,
    "evaluate": evaluate_stage,
    "report": report_stage,
}
"""What does each stage, in their order."""
assert tuple(DO) == STAGES


def do_stage(run: RunFolder, name: str, progress: Progress, *, resume: bool = False) -> None:
    """Do one stage; `resume` means something only to "unlearn", which has checkpoints."""
    if name == "unlearn":
        unlearn_stage(run, progress, resume=resume)
    else:
        DO[name](run, progress)


def run_experiment(
    experiment: Experiment,
    path: str | Path,
    *,
    resume: bool = False,
    until: str = "report",
    progress: Progress | None = None,
) -> RunFolder:
    """Sample, label, fit, unlearn, evaluate and report, in `path`.

    Args:
        until: the last stage.
        resume: go on with the run in `path`, from its last checkpoint; its settings must be equal,
            but for limits and attacks where these come after `until`.

    Raises:
        UserError: there is a run already, or the one to resume has other settings.
    """
    path, progress = Path(path), progress or Progress(quiet=True)
    if resume and RunFolder(path).settings.exists():
        run = RunFolder.open(path)
        _require_equal(run, experiment, until)
    else:
        run = RunFolder.create(path, experiment)
    for name in STAGES:
        if not run.done(name):
            do_stage(run, name, progress, resume=resume)
        if name == until:
            break
    return run


def _require_equal(run: RunFolder, experiment: Experiment, until: str) -> None:
    free: dict[str, Any] = {"generator": {"recipe"}}  # an oracle's alone
    if STAGES.index(until) < STAGES.index("evaluate"):
        free |= {"verdict": True, "attack": True}
    before, now = (
        _flat(e.model_dump(mode="json", exclude=free)) for e in (run.experiment(), experiment)
    )
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        raise UserError(
            f"the run in '{run.path}' has other settings ({key} is {before.get(key)!r} there, "
            f"{now.get(key)!r} here); resume with equal settings, or choose another folder with -o"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value by its dotted key."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        found |= _flat(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
    return found


def summary(run: RunFolder) -> dict[str, Any]:
    """What `run --json` prints: the verdict's main figures."""
    experiment = run.experiment()
    found = read_record(run.verdict, Verdict.from_dict)
    quality = found.quality.get("unlearned")
    criteria = run.read_criteria()
    return {
        "run": str(run.path),
        "feature": experiment.feature,
        "judge": found.judge,
        "target_ratio": {
            "original": asdict(found.original),
            "erased": asdict(found.erased),
            "unlearned": asdict(found.unlearned),
        },
        "negatives_l1": found.negatives_l1.value,
        "negatives_msssim": found.negatives_msssim,
        "fid": quality.fid if quality else None,
        "features": found.features or None,
        "quality": {name: asdict(value) for name, value in found.quality.items()},
        **read_json(run.path / "examination.json"),
        "outcome": overall(criteria),
        "criteria": [{**asdict(row), "outcome": row.outcome} for row in criteria],
        "seconds": round(sum(run.seconds().values()), 1),
        "stages": run.seconds(),
        "report": str(run.report),
    }
