"""The commands, each loaded when it is asked for: --help imports none of them."""

from importlib import import_module

import click

from digits.errors import DigitsError

# Name of a command -> its module in this folder, and its text in the list of commands.
COMMANDS = {
    "serve": ("service", "Serve on this machine until Ctrl-C."),
    "status": ("service", "Report what answers, and what is wrong."),
    "deploy-config": ("service", "Check a configuration and change the running service to it."),
    "stop": ("service", "Stop the service, and remove what an earlier one left behind."),
    "env": ("service", "Print the variables for Ray's own commands."),
    "monitor": ("service", "Run Prometheus with the alerts against the service."),
    "predict": ("predict", "Read the digit in each picture."),
    "score": ("score", "Read many files on all cores, into a table."),
    "train": ("train", "Train a model, register it, and promote it if it passes the gate."),
    "data": ("data", "Write MNIST and drawn pictures as Parquet, as training data."),
    "golden": ("golden", "Choose the images that every model must read, for another task."),
    "report": ("report", "Write a model's quality as one HTML file."),
    "model": ("model", "Copy what serving needs of a model folder."),
    "registry": ("registry", "List, import, promote and roll back registered models."),
    "doctor": ("doctor", "Find what keeps this machine from serving or training."),
}

RENAMED = {"max-refused": "max-rejected"}  # flags that had another name; it is still taken


class LazyCommands(click.Group):
    """Reports errors of this project and packages that are not installed as one line, with status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"digits.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DigitsError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"this command needs the package {error.name}, which is not installed; run it in an "
                "environment with the training packages (requirements/train.txt)"
            ) from error


def _current(name: str) -> str:
    return RENAMED.get(name, name)


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _current},
)
def main() -> None:
    """Handwritten digits: serve, read pictures, train models, and choose the model that serves.

    \b
    Examples:
      python -m digits serve
      python -m digits predict docs/seven.png
      python -m digits score scans/ --out out/scores
      python -m digits train --data my.npz
      python -m digits registry list
      python -m digits doctor

    Each command has its own --help.
    """
