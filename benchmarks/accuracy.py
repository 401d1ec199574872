"""Sends labelled images to a running service, one request each, and prints how many it reads correctly.

python -m benchmarks.accuracy --data mnist             # the 10,000 test images
python -m benchmarks.accuracy --pictures FOLDER        # files named LABEL_anything.png|jpg|...
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
from tqdm import tqdm

from digits.training.data import load
from testkit.encodings import image_file

Sample = tuple[bytes, int, str]  # an image file, its label, its group in the report


def test_set(source: str) -> Iterator[Sample]:
    dataset = load(source)
    for pixels, label in zip(dataset.test_images, dataset.test_labels, strict=True):
        yield image_file(pixels), int(label), dataset.name


def pictures(folder: Path) -> Iterator[Sample]:
    """Yields a folder's files; a name's part between label and number is its group: 7_photo_012.jpg."""
    for file in sorted(folder.glob("[0-9]_*")):
        yield file.read_bytes(), int(file.name[0]), file.stem[2:].rstrip("0123456789").rstrip("_")


async def score(samples: list[Sample], url: str, connections: int) -> tuple[Counter[str], Counter[str]]:
    """Returns the counts of correct and of all answers, by group; a refused picture counts as misread."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    queue = iter(samples)
    with tqdm(total=len(samples), unit="image") as bar:
        async with httpx2.AsyncClient(timeout=60) as client:

            async def work() -> None:
                for content, label, group in queue:
                    response = await client.post(url, content=content)
                    if response.status_code >= 500 or response.status_code == 429:
                        response.raise_for_status()
                    total[group] += 1
                    right[group] += response.json().get("digit") == label
                    bar.update()

            await asyncio.gather(*(work() for _ in range(connections)))
    return right, total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="mnist, sklearn-digits or FILE.npz: its test set")
    source.add_argument("--pictures", type=Path, help="a folder of pictures named LABEL_anything")
    parser.add_argument("--url", default="http://127.0.0.1:8000/predict")
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    samples = list(test_set(arguments.data) if arguments.data else pictures(arguments.pictures))
    right, total = asyncio.run(score(samples, arguments.url, arguments.connections))
    for group in sorted(total):
        print(f"{group:30} {right[group]:6} of {total[group]:6}  {right[group] / total[group]:7.2%}")
    print(f"{'all':30} {right.total():6} of {total.total():6}  {right.total() / total.total():7.2%}")


if __name__ == "__main__":
    main()
