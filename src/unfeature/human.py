"""`unfeature evaluate --human`: sheets of pairs for a person, and the answers read back."""

import re
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from unfeature.adapters.files import atomic, make_folder, read_json, read_text, write_json
from unfeature.adapters.sources import load_both
from unfeature.errors import UserError
from unfeature.evaluate.human import Human, Plan, answer_in, read_pairs, shuffled, tally
from unfeature.evaluate.verdict import judged
from unfeature.examination import load_examiner
from unfeature.folder import RunFolder
from unfeature.generator import draw
from unfeature.labelers.sheet import sheets_identity
from unfeature.labels import sample_seeds
from unfeature.panel import load_panel
from unfeature.pictures import to_bytes

ACROSS, DOWN = 4, 6
PER_PAGE = ACROSS * DOWN
SIDE, GAP, CAPTION = 128, 4, 16
CANDIDATES = 20
"""Latents drawn for each pair wanted, among which those with the feature are looked for."""

TEMPLATE = """\
# Pairs of pictures of the same latent, one before and one after "{feature}" was unlearned, in
# random order and on random sides: see page-001.png and so on ({n} pairs, numbered from 0).
# For each pair you look at, write which picture SHOWS the feature (left, right, both or none) and,
# after a semicolon, what ELSE differs between the two, e.g.
#   12: right; smile, hair colour
# {asked}
# Leave a line as it is where you did not look. Leave "sheets:" as it is: it tells which pictures
# these answers belong to.
sheets: {identity}
by:
{lines}
"""


def write_human(run: RunFolder, n: int) -> Path:
    """Sheets of `n` pairs, half of which had the feature by the judge, where so many are found.

    Returns:
        The file to fill in. One that somebody has begun to fill in is left as it is.
    """
    run.require("unlearn")
    experiment = run.experiment()
    original, unlearned = load_both(experiment.generator, run.unlearned)
    judge = load_panel(run.path / "panel").judge
    seeds = sample_seeds(n * CANDIDATES, experiment.seed, "human")
    before = draw(original, original.latents_from_seeds(seeds.tolist()))
    shows, before = (judged(judge, before) > 0).cpu(), before.cpu()
    had, lacked = shows.nonzero().squeeze(1), (~shows).nonzero().squeeze(1)
    had = had[: n // 2]
    rows = torch.cat([had, lacked[: n - len(had)]])
    after = draw(unlearned, unlearned.latents_from_seeds(seeds[rows].tolist())).cpu()
    plan = shuffled(len(rows), experiment.seed)
    folder = make_folder(run.path / "human")
    left, right = _sides(before[rows], after, plan)
    for page in folder.glob("page-*.png"):
        page.unlink()
    for first in range(0, len(rows), PER_PAGE):
        with atomic(folder / f"page-{first // PER_PAGE + 1:03d}.png") as temporary:
            part = slice(first, first + PER_PAGE)
            _page(left[part], right[part], first).save(temporary, format="PNG")
    identity = sheets_identity(unlearned.fingerprint, seeds[rows])
    order, swapped = plan.rows.tolist(), plan.swapped.tolist()
    key = {"rows": order, "swapped": swapped, "identity": identity}
    write_json(folder / "key.json", {**key, "unlearned": unlearned.fingerprint})
    answers = folder / "answers.txt"
    if not answered(answers):
        names = _asked(run)
        text = TEMPLATE.format(
            feature=experiment.feature,
            n=len(rows),
            asked=f"Name only these: {', '.join(names)}." if names else "Use your own words.",
            identity=identity,
            lines="\n".join(f"{place}:" for place in range(len(rows))),
        )
        with atomic(answers) as temporary:
            temporary.write_text(text)
    return answers


def read_human(run: RunFolder, answers: Path | None = None) -> Human:
    """The figures of a filled-in sheet, written to `human/found.json`, too.

    Raises:
        UserError: there are no sheets, or the answers cannot be read or belong to others.
    """
    folder = run.path / "human"
    path = answers or folder / "answers.txt"
    if not (folder / "key.json").exists():
        raise UserError(f"there are no pairs yet; run 'unfeature evaluate {run.path} --human'")
    key = read_json(folder / "key.json")
    if key.get("unlearned") != read_json(run.unlearned / "config.json")["fingerprint"]:
        raise UserError(
            f"the pairs in '{folder}' are of weights that have been trained anew since; move that "
            f"folder away and run 'unfeature evaluate {run.path} --human' for new ones"
        )
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"there are no answers at '{path}' ({error.strerror})") from error
    named = re.search(r"^sheets:[ \t]*(\S+)", text, re.MULTILINE)
    if named and named.group(1) != key["identity"]:
        raise UserError(
            f"'{path}' answers for other sheets ({named.group(1)}, these are {key['identity']}): "
            "another generator or seed; look at these pages"
        )
    by = re.search(r"^by:[ \t]*(\S.*)$", text, re.MULTILINE)
    plan = Plan(torch.tensor(key["rows"]), torch.tensor(key["swapped"]))
    found = tally(
        read_pairs(text, len(plan.rows), where=str(path), known=_asked(run)),
        plan,
        by=by.group(1) if by else "a person",
    )
    write_json(run.human, asdict(found))
    return found


def _asked(run: RunFolder) -> tuple[str, ...]:
    """The attributes a person may name: those of the judge, if there is one; else anything."""
    settings = run.experiment().evaluate
    judge = load_examiner(settings)
    if judge is None:
        return ()
    names = (name for name in judge.names if name not in settings.leave_out)
    return tuple(name.replace("_", " ").lower() for name in names)


def answered(path: Path) -> bool:
    """Whether somebody wrote an answer into a sheet of pairs."""
    lines = read_text(path).splitlines() if path.exists() else []
    return any(answer_in(line) for line in lines)


def _sides(
    before: Float[Tensor, "n c h w"], after: Float[Tensor, "n c h w"], plan: Plan
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Left and right pictures, in the plan's order."""
    before, after = before[plan.rows], after[plan.rows]
    swapped = plan.swapped[:, None, None, None]
    return torch.where(swapped, after, before), torch.where(swapped, before, after)


def _page(left: Tensor, right: Tensor, first: int) -> Image.Image:
    wide, high = 2 * SIDE + 6 * GAP, SIDE + CAPTION + GAP
    page = Image.new("RGB", (ACROSS * wide, DOWN * high), "white")
    pen = ImageDraw.Draw(page)
    for i, pair in enumerate(zip(to_bytes(left), to_bytes(right), strict=True)):
        x, y = (i % ACROSS) * wide, (i // ACROSS) * high
        for j, pixels in enumerate(pair):
            picture = Image.fromarray(pixels.squeeze()).convert("RGB")
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            page.paste(picture, (x + j * (SIDE + GAP), y + CAPTION))
        pen.text((x + 2, y + 2), str(first + i), fill="black")
    return page
