"""Model folders on the command line.

python -m digits.models copy out/NAME models/starter     check and copy what serving needs
"""

import argparse
import sys
from pathlib import Path

from digits.errors import DigitsError
from digits.models.folders import copy_for_serving


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["copy"])
    parser.add_argument("source", type=Path, help="model folder of a training run")
    parser.add_argument("target", type=Path, help="folder to write; a model that is there is replaced")
    arguments = parser.parse_args()
    try:
        copy_for_serving(arguments.source, arguments.target)
    except DigitsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
