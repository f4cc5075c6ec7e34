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
