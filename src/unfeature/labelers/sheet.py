"""A person as the labeller, without a server: numbered contact sheets out, a text file back in."""

import hashlib
import re
from pathlib import Path

import torch
from jaxtyping import Float, Int, Int8
from PIL import Image, ImageDraw
from torch import Tensor

from unfeature.adapters.files import atomic, make_folder, read_text
from unfeature.errors import UserError
from unfeature.labels import NO, UNSURE, YES
from unfeature.pictures import to_bytes

COLUMNS, ROWS = 10, 10
PER_PAGE = COLUMNS * ROWS
CELL, CAPTION = 96, 14

TEMPLATE = """\
# Contact sheets for: {feature}
# Look at page-001.png and so on ({n} pictures, {per_page} a page, numbered from 0).
# After "yes:" write the numbers of the pictures that SHOW the feature, after "unsure:" of those
# you cannot tell; all others on the pages you looked at count as "no". Ranges such as 12-15 and
# several lines are fine. After "pages:" say which pages you looked at, e.g. 1-3 or all.
# Leave "sheets:" as it is: it tells which pictures these answers belong to.
sheets: {identity}
by:
pages: all
yes:
unsure:
"""


def sheets_identity(generator: str, seeds: Int[Tensor, " n"]) -> str:
    """12 hex digits that tell whose pictures are on some sheets, and which.

    Args:
        generator: its fingerprint.
        seeds: of the pictures, in order.
    """
    text = generator + ",".join(map(str, seeds.tolist()))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def write_sheets(
    images: Float[Tensor, "n c h w"], folder: Path, *, feature: str, identity: str
) -> list[Path]:
    """Numbered PNG pages of all pictures, and an `answers.txt` to fill in unless there is one."""
    make_folder(folder)
    pages = []
    for first in range(0, len(images), PER_PAGE):
        path = folder / f"page-{first // PER_PAGE + 1:03d}.png"
        with atomic(path) as temporary:
            _page(images[first : first + PER_PAGE], first).save(temporary, format="PNG")
        pages.append(path)
    answers = folder / "answers.txt"
    if not answers.exists():
        text = TEMPLATE.format(feature=feature, n=len(images), per_page=PER_PAGE, identity=identity)
        with atomic(answers) as temporary:
            temporary.write_text(text)
    return pages


def read_answers(
    path: Path, n: int, *, identity: str = ""
) -> tuple[Int8[Tensor, " n"], Tensor, str]:
    """Labels, which pictures were looked at, and who looked.

    Args:
        path: a filled-in `answers.txt`.
        n: how many pictures the sheets hold.
        identity: of the sheets; answers that name another are refused.

    Returns:
        Labels (1, 0, −1), a boolean tensor (False where nobody looked), and the name given.

    Raises:
        UserError: a line that cannot be read, a number that is on no sheet, on a page that was not
            looked at or under both answers, or no yes at all.
    """
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise UserError(
            f"there are no answers at '{path}' ({error.strerror}); fill in the answers.txt that "
            "'unfeature label --by sheet' writes"
        ) from error
    fields: dict[str, list[str]] = {"yes": [], "unsure": [], "pages": [], "by": [], "sheets": []}
    current = ""
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        match = re.match(r"(\w+)\s*:(.*)", text)
        if match:
            current, text = match.group(1).lower(), match.group(2).strip()
            if current not in fields:
                raise UserError(
                    f"'{path}' line {number}: unknown field '{current}'; "
                    "use yes, unsure, pages, by, sheets"
                )
        elif text and not current:
            raise UserError(f"'{path}' line {number}: write 'yes:' before the first number")
        if text:
            fields[current].append(text)
    named = " ".join(fields["sheets"])
    if identity and named and named != identity:
        raise UserError(
            f"'{path}' answers for other sheets ({named}, these are {identity}): another "
            "generator, seed or label.n; label these pages"
        )
    pages = -(-n // PER_PAGE)
    words = " ".join(fields["pages"]).lower() or "all"
    looked_at = range(1, pages + 1) if words == "all" else _numbers(words, 1, pages, path)
    seen = torch.zeros(pages * PER_PAGE, dtype=torch.bool)
    for page in looked_at:
        seen[(page - 1) * PER_PAGE : page * PER_PAGE] = True
    seen = seen[:n]
    labels = torch.full((n,), NO, dtype=torch.int8)
    unsure = _numbers(" ".join(fields["unsure"]), 0, n - 1, path)
    yes = _numbers(" ".join(fields["yes"]), 0, n - 1, path)
    for picture in (*unsure, *yes):
        if not seen[picture]:
            page = picture // PER_PAGE + 1
            raise UserError(
                f"'{path}' names picture {picture}, but 'pages:' leaves out page {page}"
            )
    both = set(yes) & set(unsure)
    if both:
        raise UserError(f"'{path}' has picture {min(both)} under 'yes:' and under 'unsure:'")
    if not yes:
        raise UserError(
            f"'{path}' lists no picture after 'yes:'; write the numbers of those you see"
        )
    labels[unsure], labels[yes] = UNSURE, YES
    return labels, seen, " ".join(fields["by"]) or "a person"


def _numbers(text: str, low: int, high: int, path: Path) -> list[int]:
    found: list[int] = []
    for word in re.split(r"[\s,;]+", text.strip()):
        if not word:
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if not match:
            raise UserError(f"'{path}': '{word}' is not a number or a range such as 12-15")
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if not low <= first <= last <= high:
            raise UserError(f"'{path}': '{word}' is outside {low}-{high}")
        found.extend(range(first, last + 1))
    return found


def _page(images: Tensor, first: int) -> Image.Image:
    page = Image.new("RGB", (COLUMNS * CELL, ROWS * (CELL + CAPTION)), "white")
    pen = ImageDraw.Draw(page)
    for i, pixels in enumerate(to_bytes(images)):
        left, top = (i % COLUMNS) * CELL, (i // COLUMNS) * (CELL + CAPTION)
        picture = Image.fromarray(pixels.squeeze()).convert("RGB")
        page.paste(picture.resize((CELL - 2, CELL - 2), Image.Resampling.BICUBIC), (left, top))
        pen.text((left + 2, top + CELL - 1), str(first + i), fill="black")
    return page
