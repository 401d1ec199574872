"""Installs what `python -m benchmarks.compare` needs besides the development environment; safe to repeat.

    python -m benchmarks.setup

Into .bench/ go a virtual environment for each benchmarks/peers/NAME.txt, and the model as MLflow serves it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.services import PEERS, ROOT
from testkit.load import describe_missing


def main() -> None:
    if missing := describe_missing():
        sys.exit(missing)
    for requirements in sorted((ROOT / "benchmarks" / "peers").glob("*.txt")):
        print(f"{requirements.stem} ...", flush=True)
        environment = PEERS / requirements.stem
        uv("venv", "--allow-existing", f"--python={sys.executable}", str(environment))
        uv("pip", "install", f"--python={environment}", f"--requirement={requirements}")
    print("MLflow's model ...", flush=True)
    shutil.rmtree(PEERS / "mlflow-model", ignore_errors=True)
    run(Path(sys.executable), "-m", "benchmarks.peers.mlflow", str(PEERS / "mlflow-model"))


def uv(*arguments: str) -> None:
    # Without the settings of pyproject.toml, which exclude what this service does not need.
    run(Path(sys.executable).with_name("uv"), "--quiet", "--no-config", *arguments)


def run(program: Path, *arguments: str) -> None:
    subprocess.run([str(program), *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
