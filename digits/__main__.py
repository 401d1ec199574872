"""`python -m digits`: the command line."""

import os

from digits.cli.main import main

COMPLETE = "_DIGITS_COMPLETE"  # set by a shell that asks for completions

if __name__ == "__main__":
    # The names of the shell's function and of the completed command come from the program.
    main(prog_name="digits" if COMPLETE in os.environ else "python -m digits", complete_var=COMPLETE)
