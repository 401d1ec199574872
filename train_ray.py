"""Train a digit model with Ray Train, register it in MLflow, and promote it if it passes the gate."""

from digits.cli.train import train

if __name__ == "__main__":
    train()
