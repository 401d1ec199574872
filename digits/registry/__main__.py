"""Registered models on the command line.

python -m digits.registry list
python -m digits.registry promote [--version N]     the candidate, or version N, through the gate
python -m digits.registry rollback                  the champion before this one
"""

import argparse
import sys

from digits.errors import DigitsError, PromotionRefused
from digits.registry.gate import GateSettings
from digits.registry.mlflow import mlflow_client, tracking_uri
from digits.registry.promotion import promote, rollback
from digits.settings import add_flags, from_flags


def table(name: str) -> list[str]:
    """A line for each version, the newest first."""
    lines = [f"{'version':8} {'aliases':28} {'accuracy':>8} {'ece':>7}  run"]
    with mlflow_client(tracking_uri()) as client:
        aliases = client.get_registered_model(name).aliases
        versions = client.search_model_versions(f"name = '{name}'")
        for found in sorted(versions, key=lambda found: -int(found.version)):
            its_aliases = ", ".join(
                sorted(alias for alias, version in aliases.items() if str(version) == str(found.version))
            )
            metrics = client.get_run(str(found.run_id)).data.metrics
            accuracy, ece = metrics.get("test_accuracy", float("nan")), metrics.get("test_ece", float("nan"))
            lines.append(f"{found.version:<8} {its_aliases:28} {accuracy:8.4f} {ece:7.4f}  {found.run_id}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["list", "promote", "rollback"])
    parser.add_argument("--name", default="digits", help="registered model")
    parser.add_argument("--version", help="promote this version instead of the candidate")
    add_flags(parser, GateSettings)
    asked = vars(parser.parse_args())
    command, name, version = asked.pop("command"), asked.pop("name"), asked.pop("version")
    gate = from_flags(parser, GateSettings, asked)
    try:
        if command == "list":
            print("\n".join(table(name)))
        elif command == "promote":
            print(f"champion of {name} is version {promote(name, version, gate).version}")
        else:
            print(f"champion of {name} is again version {rollback(name).version}")
    except PromotionRefused as error:
        sys.exit("not promoted:\n" + "\n".join(f"  - {reason}" for reason in error.reasons))
    except DigitsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
