"""What was found besides the verdict, in sentences."""

from typing import Any


def examination_text(found: dict[str, Any]) -> list[str]:
    """Lines for people."""
    lines = []
    for name, row in found.get("collateral", {}).items():
        worst = max(row["changes"], key=lambda key: row["changes"][key]["share"]["value"])
        share = row["changes"][worst]["share"]["value"]
        lines.append(
            f"other attributes, pictures that {name}: {row['changed']['value']:.2f} of "
            f"{row['attributes']} changed a picture (most: {worst}, {share:.1%}); "
            f"judge: {row['judge']}"
        )
    row = found.get("counterfactual")
    if row:
        lines.append(
            f"counterfactual of {row['n']} avatars: mean L1 {row['unchanged']:.3f} before, "
            f"{row['reached']:.3f} after; inversion alone misses by {row['floor']:.3f}"
        )
    return lines


def human_text(found: dict[str, Any]) -> list[str]:
    """What a person found in pairs of pictures, in sentences."""
    left, before = found["unlearned"], found["original"]
    lines = [
        f"{found['by']}, {before['n']} pairs, blind: {before['value']:.1%} of the originals show "
        f"the feature and {left['value']:.1%} of the unlearned [{left['low']:.1%}, "
        f"{left['high']:.1%}]"
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
