# Exports the variables of serve.env, except those that the environment sets already.
# The image names this file in BASH_ENV, so each bash script and `bash -c` reads it first: the shell in which KubeRay
# runs `ray start`, and the image's entrypoint.
_export_serve_env() {
	local line name
	while IFS= read -r line; do
		name=${line%%=*}
		if [[ $line == [A-Z]*=* && -z ${!name+set} ]]; then export "$line"; fi
	done < "${BASH_SOURCE[0]%/*}/../../serve.env"
}
_export_serve_env
unset -f _export_serve_env
