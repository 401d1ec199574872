#!/usr/bin/env bash
# Runs Ray and Serve in one container, where no KubeRay starts Ray, until SIGTERM.
# `serve run` itself would cut the requests in progress at SIGTERM.  So the application is removed first, and answers
# them; then the container ends.
set -euo pipefail

# graceful_shutdown_timeout_s, the draining period of serve.env, and some time for the commands themselves.
STOPS_WITHIN_S=${STOPS_WITHIN_S:-45}

give_up() {
	echo "container.sh: $1; requests in progress are cut" >&2
	exit 1
}

stop() {
	local deadline=$((SECONDS + STOPS_WITHIN_S))
	export RAY_AUTH_MODE=token  # `serve run` left the token in HOME
	echo "applications: []" > "$HOME/nothing.yaml"
	timeout "$STOPS_WITHIN_S" serve deploy "$HOME/nothing.yaml" || give_up "Serve did not accept the removal of the application"
	while serve status | grep --quiet DigitClassifier; do
		((SECONDS < deadline)) || give_up "the application did not stop within $STOPS_WITHIN_S s"
		sleep 0.5
	done
	exit 0
}

trap stop TERM INT
serve run serve_config.yaml &
wait $!
