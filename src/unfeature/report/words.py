"""What was found besides the verdict, in sentences."""

from typing import Any


def examination_text(found: dict[str, Any]) -> list[str]:
    """Lines for people."""
    lines = []
    looked = found.get("rests", {})
    for name in ("had it", "never had it"):
        if name in looked:
            before, after = (spanned(looked[name][when], ".1%") for when in ("before", "after"))
            lines.append(
                f"a closer look, pictures that {name}: the feature or a rest of it in {before} "
                f"before, in {after} after; judge: {looked['judge']}"
            )
    for name, row in found.get("collateral", {}).items():
        worst = max(row["changes"], key=lambda key: row["changes"][key]["share"]["value"])
        share = row["changes"][worst]["share"]["value"]
        if row.get("exclusive"):
            lines.append(
                f"pictures that {name}: another class in {spanned(row['changed'], '.1%')} (most: "
                f"{worst}, {share:.1%}); judge: {row['judge']}"
            )
            continue
        lines.append(
            f"other attributes, pictures that {name}: {row['changed']['value']:.2f} of "
            f"{row['attributes']} changed a picture (most: {worst}, {share:.1%}); "
            f"judge: {row['judge']}"
        )
    row = found.get("counterfactual")
    if row:
        lines.append(
            f"counterfactual of {row['n']} avatars: mean L1 {row['unchanged']:.3f} before, "
            f"{row['reached']:.3f} after, nearer for {row['nearer']}; "
            f"inversion alone misses by {row['floor']:.3f}"
        )
    if row and "differing" in row:
        before, after = (row["differing"][key]["value"] for key in ("before", "after"))
        lines.append(
            f"other attributes that differ from the counterfactual's: {before:.2f} a picture "
            f"before, {after:.2f} after"
        )
    return lines


def spanned(row: dict[str, Any], form: str) -> str:
    """A figure with its interval: `value [low, high]`."""
    return f"{row['value']:{form}} [{row['low']:{form}}, {row['high']:{form}}]"


def interval(share: dict[str, Any] | float) -> dict[str, Any]:
    """A share with its interval; of files older than their intervals the share alone, as one."""
    return share if isinstance(share, dict) else dict.fromkeys(("value", "low", "high"), share)


def human_text(found: dict[str, Any]) -> list[str]:
    """What a person found in pairs of pictures, in sentences."""
    left, before = found["unlearned"], found["original"]
    lines = [
        f"{found['by']}, {before['n']} pairs, blind: {before['value']:.1%} of the originals show "
        f"the feature and {left['value']:.1%} of the unlearned [{left['low']:.1%}, "
        f"{left['high']:.1%}]; the judge chose the pairs, up to half of them with the feature"
    ]
    for key, words in (("having", "had it"), ("lacking", "never had it")):
        row = found[key]
        if row:
            lines.append(
                f"{found['by']}: {row['value']:.2f} other things changed in a picture that {words} "
                f"[{row['low']:.2f}, {row['high']:.2f}]"
            )
    if found["changes"]:
        named = list(found["changes"].items())[:5]
        lines.append("named most: " + ", ".join(f"{name} {count}" for name, count in named))
    return lines


SHARES = (("naive", "naive"), ("judged", "judged"), ("a rest", "rests"), ("passed", "passed"))
"""Columns of the attacks: title, key."""


def attack_rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """The attacks in the latent as a table: a row for each generator, attack and radius."""
    rows = []
    for generator, attacks in found["generators"].items():
        for attack, points in attacks.items():
            for point in points:
                if "epsilon" not in point:
                    continue
                radius = "∞" if point["epsilon"] is None else f"{point['epsilon']:g}"
                row = {"generator": generator, "attack": attack, "ε": radius}
                for title, key in SHARES:
                    if key != "rests" or "closer" in found:
                        row[title] = spanned(point[key], ".1%") if key in point else "–"
                for title, key in (("FID", "fid"), ("IS", "is")):
                    row[title] = f"{point[key]:.2f}" if key in point else "–"
                row["queries"] = f"{point['queries']:.0f}" if "queries" in point else "–"
                rows.append(row)
    return rows


ENCODER = {
    "drop": "the encoder is left out of what is shipped",
    "adapt": "the encoder was adapted",
    "keep": "the encoder stays in use as it was, AND GIVES THE FEATURE AWAY",
}
"""What became of a VAE's encoder, by `encoder.then`."""
LABELLED = {
    "judge": "the judge is what labelled, so training had it for a teacher: what it overlooks, it "
    "overlooks here, too; name another under [evaluate.judge]",
    "attacker": "the attacked classifier is the one that training asked, so another may find more; "
    "name one under [attack.classifier]",
}
"""What is said where the judge or the attacker was the teacher, too."""
STRONG = 0.95
"""An attack that brings a common feature into less than this share of the original's pictures is
too weak to say much."""


def attack_text(found: dict[str, Any]) -> list[str]:
    """Who attacked and who judged, how strong the attack is, and what inversion and relearning came
    to, in sentences."""
    lines = [f"attacker: {found['attacker']}; judge: {found['judge']}"]
    lines += _weak(found["generators"].get("original"))
    if "closer" in found:
        lines.append(
            f"a rest: {found['closer']} looks closely, and sees the feature or a rest of it; the "
            "judge decides"
        )
    if not found.get("gated", True):
        lines.append(
            "no gate: every picture the judge sees the feature in counts, nonsense too; name "
            "features to measure pictures in under evaluate.features"
        )
    if found["same"]:
        lines.append("the attacker's classifier also judges: being fooled counts as success here")
    lines += [LABELLED[who] for who, did in found.get("labelled", {}).items() if did]
    if "encoder" in found:
        lines.append(ENCODER[found["encoder"]["then"]])
    for name, row in found.get("encoder", {}).get("leaks", {}).items():
        back = row["back"]
        lines.append(
            f"{name}: of {back['n']} encoded pictures with the feature {spanned(back, '.1%')} are "
            f"decoded with it; a probe on the latents tells them with an AUC of {row['auc']:.3f}"
        )
    for name, row in found.get("inversion", {}).items():
        back = row["back"]
        lines.append(
            f"inversion, {name}: of {back['n']} pictures with the feature "
            f"{spanned(back, '.1%')} come back with it, at L1 {row['l1']['value']:.3f}"
        )
        if "usual" in row:  # attack.json may be older
            lines[-1] += (
                f"; log-density of their latents {row['likely']['value']:.2f} a dimension, usual "
                f"{row['usual']['value']:.2f}"
            )
    for name, lessons in found.get("relearning", {}).items():
        for row in lessons:
            half = f"after {row['half']} steps" if row["half"] is not None else "never"
            lines.append(
                f"relearning, {name}, {row['pictures']} pictures with the feature: "
                f"{interval(row['ratios'][0])['value']:.1%} → "
                f"{spanned(interval(row['ratios'][-1]), '.1%')} in "
                f"{row['steps'][-1]} steps; "
                f"half of the original's share {half}"
            )
    return lines


def _weak(original: dict[str, Any] | None) -> list[str]:
    """A warning where the attacks together do not bring the feature into nearly all of the
    original's pictures."""
    if not original:
        return []
    point = original.get("any of these", original["gradient"])[-1]
    if point["judged"]["value"] >= STRONG:
        return []
    radius = "∞" if point["epsilon"] is None else f"{point['epsilon']:g}"
    return [
        f"THE ATTACK IS WEAK: at ε = {radius} it brings the feature into "
        f"{spanned(point['judged'], '.1%')} of the original's own pictures, not {STRONG:.0%}; give "
        "it more (attack.restarts, attack.steps, a larger radius), or expect a stronger attacker "
        "to find more"
    ]


def attack_table(found: dict[str, Any]) -> str:
    """The same as Markdown."""
    rows = attack_rows(found)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join([*lines, "", *attack_text(found)])
