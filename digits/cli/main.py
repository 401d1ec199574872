"""The commands, each loaded when it is asked for: --help imports none of them."""

from importlib import import_module

import click

from digits.errors import DigitsError

# Name of the module in this folder and of its command -> what the list of commands says.
COMMANDS = {
    "predict": "Read the digit in each picture.",
    "train": "Train a model, register it, and promote it if it passes the gate.",
    "registry": "List, promote and roll back registered models.",
    "doctor": "Check what keeps this machine from serving or training.",
}


class LazyCommands(click.Group):
    """Reports the errors of this project as one line, with status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"digits.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DigitsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Handwritten digits: read pictures, train models, choose which one serves.

    \b
    Examples:
      python -m digits predict docs/seven.png
      python -m digits train --data my.npz
      python -m digits registry list
      python -m digits doctor

    Each command has its own --help.
    """
