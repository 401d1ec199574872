#!/usr/bin/env bash
# What the image runs by itself, where no KubeRay starts Ray: all of it in one container, until SIGTERM.
# `serve run` dies of SIGTERM at once, and ends its HTTP servers before their requests if it is interrupted;
# so the application goes first, which answers what is in hand.
set -euo pipefail

stop() {
	export RAY_AUTH_MODE=token  # of the token that `serve run` left in HOME
	echo "applications: []" > "$HOME/nothing.yaml"
	serve deploy "$HOME/nothing.yaml"
	while serve status | grep --quiet DigitClassifier; do sleep 0.5; done
	exit 0
}

serve run serve_config.yaml &
trap stop TERM INT
wait $!
