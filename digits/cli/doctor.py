"""`python -m digits doctor`."""

import sys

import click

from digits.cli.checks import findings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def doctor() -> None:
    """Check what keeps this machine from serving or training, and say what to do about it.

    The configuration, ports, limits, token, packages, HAProxy and MLflow; no service needs to run.  While one
    runs, its ports are taken.  The status is 1 if anything was found.

    \b
    Example:
      python -m digits doctor
    """
    is_ill = False
    for finding in findings():
        click.echo(f"{'ok' if not finding.problem else 'no':3} {finding.about}", nl=not finding.problem)
        if finding.problem:
            is_ill = True
            click.echo(f": {finding.problem}\n    -> {finding.cure}")
    sys.exit(1 if is_ill else 0)
