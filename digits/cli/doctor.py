"""`python -m digits doctor`."""

import sys

import click

from digits.cli.checks import findings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def doctor() -> None:
    """Find what keeps this machine from serving or training, and print a fix for each problem.

    It checks the configuration, ports, limits, token, packages, HAProxy and MLflow, and needs no running
    service. The ports of your own running service are no problem. The status is 1 if there is a problem.

    \b
    Example:
      python -m digits doctor
    """
    failed = False
    for finding in findings():
        click.echo(f"{'ok' if not finding.problem else 'no':3} {finding.about}", nl=not finding.problem)
        if finding.problem:
            failed = True
            click.echo(f": {finding.problem}\n    -> {finding.fix}")
    sys.exit(1 if failed else 0)
