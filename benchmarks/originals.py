"""How good the shipped avatar generators are, against fresh avatars.

    python -m benchmarks.originals avatars-stylegan2 avatars-vae --picture x.png
    python -m benchmarks.originals avatars      # other avatars: as good as a generator could be

FID, precision and recall in the features of one judge; the share of each attribute in 10,000
samples by the same judge, against its share in as many avatars by the same judge.
"""

import argparse
import json
from pathlib import Path

import torch

from unfeature import avatars, draw, extractor, load
from unfeature.adapters.sources import load_attribute_judge
from unfeature.evaluate.manifold import manifold
from unfeature.evaluate.quality import fid
from unfeature.labels import sample_seeds
from unfeature.pictures import grid, png

FRESH = 60_000_000
"""The number of the first avatar compared with, which nothing was trained on."""
OTHER = 80_000_000
"""The number of the first of the other avatars, of which neither was anything made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", help="shipped names, folders, or 'avatars'")
    parser.add_argument("--judge", default="avatars-referee")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--picture", type=Path, help="write 64 avatars beside 64 samples of each")
    arguments = parser.parse_args()
    judge, features = load_attribute_judge(arguments.judge), extractor(arguments.judge)
    real = avatars.dataset(arguments.n, start=FRESH).images
    wanted, _ = features(real)
    shares = _shares(judge, real)
    blocks = [real[:64]]
    for name in arguments.names:
        if name == "avatars":
            parameters, prior, images = None, None, avatars.dataset(arguments.n, start=OTHER).images
        else:
            generator = load(name)
            parameters = sum(p.numel() for p in generator.module.parameters())
            frozen = getattr(generator.module, "transport", None)
            prior = frozen and sum(b.numel() for b in frozen.buffers())
            seeds = sample_seeds(arguments.n, 0, "originals").tolist()
            images = draw(generator, generator.latents_from_seeds(seeds))
        blocks.append(images[:64])
        found, _ = features(images)
        shape = manifold(wanted, found)
        drawn = _shares(judge, images)
        ratios = (drawn / shares).tolist()
        rows = zip(judge.names, shares.tolist(), drawn.tolist(), ratios, strict=True)
        print(
            json.dumps(
                {
                    "generator": name,
                    "parameters": parameters,
                    "frozen prior": prior,
                    "fid": round(fid(found, wanted), 3),
                    "precision": round(shape.precision, 3),
                    "recall": round(shape.recall, 3),
                    "attributes": {
                        key: {"data": round(a, 3), "drawn": round(b, 3), "ratio": round(r, 2)}
                        for key, a, b, r in rows
                    },
                },
                indent=2,
            )
        )
    if arguments.picture:
        rows_of = [torch.cat([block[8 * i : 8 * i + 8] for block in blocks]) for i in range(8)]
        arguments.picture.write_bytes(png(grid(torch.cat(rows_of), columns=8 * len(blocks))))


def _shares(judge, images: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    return torch.cat([judge(part) for part in images.split(512)]).double().mean(0)


if __name__ == "__main__":
    main()
