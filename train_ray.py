"""Train a digit model with Ray Train, register it in MLflow, and promote it if it passes the gate."""

import sys

from digits.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], prog_name="python -m digits")
