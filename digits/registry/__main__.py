"""`python -m digits.registry`: the same as `python -m digits registry`."""

import sys

from digits.cli.main import main

if __name__ == "__main__":
    main(["registry", *sys.argv[1:]], prog_name="python -m digits")
