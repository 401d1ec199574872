"""`python -m digits`: the command line."""

import os

from digits.cli.main import main

COMPLETE = "_DIGITS_COMPLETE"  # set by a shell that asks how to complete a command line

if __name__ == "__main__":
    # The shell's function, and what it completes, are named by the program.
    main(prog_name="digits" if COMPLETE in os.environ else "python -m digits", complete_var=COMPLETE)
