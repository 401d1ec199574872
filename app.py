"""Ray Serve's entry point: `serve run serve_config.yaml` imports `app` from here."""

from digits.serving.deployment import DigitClassifier

app = DigitClassifier.bind()  # type: ignore[attr-defined]  # serve.ingress() hides the deployment's type
