"""`python -m digits`: the command line."""

from digits.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m digits")
