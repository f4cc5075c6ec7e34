"""What the command line says after each stage: a JSON object, and a text for people."""

from dataclasses import asdict
from typing import Any

from unfeature.adapters.files import read_json, read_record
from unfeature.diagnostics import Diagnosis
from unfeature.evaluate import Verdict
from unfeature.evaluate.criteria import overall
from unfeature.folder import STAGES, RunFolder
from unfeature.labels import LatentSet
from unfeature.report.page import sentence
from unfeature.report.words import ENCODER, examination_text
from unfeature.run import summary


def after(run: RunFolder, stage: str) -> tuple[dict[str, Any], str]:
    """The object and the text that belong to a stage that has just ended."""
    if stage == "label":
        labels = LatentSet.load(run.labels)
        found: dict[str, Any] = {**labels.counts, "labeled_by": labels.labeled_by}
        text = f"labels by {labels.labeled_by}: " + ", ".join(
            f"{count} {answer}" for answer, count in labels.counts.items()
        )
    elif stage == "target":
        diagnosis = read_record(run.path / "diagnosis.json", Diagnosis.from_dict)
        found, text = asdict(diagnosis), diagnosis_text(diagnosis)
    elif stage == "unlearn":
        history = run.read_history()
        found = {"unlearned": str(run.unlearned), "steps": len(history)}
        if history:
            found["loss"] = history[-1]["loss"]
        text = f"unlearned generator: {run.unlearned} ({len(history)} steps)"
        encoder = run.experiment().encoder
        if encoder is not None:
            found["encoder"] = encoder.then
            text += f"; {ENCODER[encoder.then]}"
    else:
        found = summary(run)
        text = verdict_text(run)
    index = STAGES.index(stage)
    if index + 1 < len(STAGES):
        text += f"\nnext: unfeature {STAGES[index + 1]} {run.path}"
    return {"run": str(run.path), **found}, text


def verdict_text(run: RunFolder) -> str:
    """The verdict, a small table, and where the report is."""
    found = read_record(run.verdict, Verdict.from_dict)
    lines = [sentence(run.experiment().feature, found), ""]
    lines.append(f"{'':12}{'shows the feature':>34}" + (f"{'FID':>10}" if found.quality else ""))
    for name in ("original", "erased", "unlearned"):
        ratio = getattr(found, name)
        row = f"{name:12}{ratio!s:>34}"
        lines.append(row + (f"{found.quality[name].fid:10.2f}" if found.quality else ""))
    lines += ["", f"judge: {found.judge}"]
    if found.features:
        lines.append(f"FID in {found.features}, to the original's pictures without the feature")
    lines += examination_text(read_json(run.path / "examination.json"))
    criteria = run.read_criteria()
    if criteria:
        lines += [str(criterion) for criterion in criteria]
        lines.append(f"decided: {overall(criteria)}")
    seconds = sum(run.seconds().values())
    lines.append(f"weights: {run.unlearned}  ({seconds:.0f} s in all)")
    if run.report.is_file():
        lines.append(f"report: {run.report}")
    return "\n".join(lines)


def diagnosis_text(found: Diagnosis) -> str:
    """What a user must know before training."""
    counts = ", ".join(f"{count} {answer}" for answer, count in found.counts.items())
    advice = (
        "more labels are likely to help" if found.more_labels else "more labels would change little"
    )
    lines = [
        f"direction: {found.method}, from {counts}",
        f"held-out AUC {found.auc:.3f} (half the labels: {found.auc_half:.3f}), "
        f"bootstrap cosine {found.stability:.3f}: {advice}",
        "",
        f"{'linear gate':12}{'t':>9}{'edits':>9}{'misses':>9}",
    ]
    for row in found.thresholds:
        lines.append(f"{row.gate:12}{row.threshold:9.3f}{row.edited:9.1%}{row.missed:9.1%}")
    if found.entanglement:
        lines += ["", f"{'attribute':16}{'cosine':>9}{'AUC':>9}"]
        lines += [f"{e.attribute:16}{e.cosine:+9.3f}{e.auc:9.3f}" for e in found.entanglement]
    return "\n".join(lines)
