# The commands of this project.  `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
BIN := .venv/bin
# Without DATA it is that of digits/task.py.
FROM = $(if $(DATA),--data "$(DATA)")
URL ?= http://127.0.0.1:8000
SLO_P99_MS ?= 50
OVERLAY ?= local
NAMESPACE ?= digits
DOCKER ?= docker
DOCKER_FLAGS ?=
VERSION := $(shell sed -n '/^\[project\]/,/^\[/s/^version = "\(.*\)"/\1/p' pyproject.toml)

HAPROXY ?= 1
CONFIG ?=
PORT ?=
DIGITS = @$(BIN)/python -m digits
ON_PORT = $(if $(PORT),--port $(PORT))

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
# As pip does: behind a proxy that inspects TLS, its certificate is in the system's store.
export UV_SYSTEM_CERTS := 1

help:  ## List the commands
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/serve.lock  ## Serve CONFIG=serve_config.yaml on its port or PORT (HAPROXY=0 for Ray's own proxy)
	$(DIGITS) serve "$(or $(CONFIG),serve_config.yaml)" $(ON_PORT) $(if $(filter 0,$(HAPROXY)),--no-haproxy)

status: .venv/serve.lock  ## Report what runs on PORT, what is wrong, and where dashboard and metrics are
	$(DIGITS) status $(ON_PORT)

deploy-config: .venv/serve.lock  ## Check CONFIG=serve_config.yaml, show the difference, deploy it, report the result
	$(DIGITS) deploy-config "$(or $(CONFIG),serve_config.yaml)" $(ON_PORT)

stop: .venv/serve.lock  ## Stop the service on PORT, and remove what an earlier one left behind
	$(DIGITS) stop $(ON_PORT)

env: .venv/serve.lock  ## Print the variables for `serve ...` in another terminal: eval "$(make -s env)"
	$(DIGITS) env $(ON_PORT)

monitor: .venv/serve.lock  ## Run Prometheus with the alerts on 127.0.0.1:9090 against the service (needs prometheus)
	$(DIGITS) monitor $(ON_PORT)

train: .venv/train.lock  ## Train a model, evaluate, register and promote it (DATA=mnist, FILE.npz, a folder or an address; TRAIN="flags")
	$(BIN)/python train_ray.py $(FROM) $(TRAIN)

data: .venv/train.lock  ## Write DATA=mnist and pictures as Parquet into OUT=out/data, for training with DATA=out/data/mnist
	$(DIGITS) data $(FROM) --out "$(or $(OUT),out/data)"

report: .venv/train.lock  ## Compare MODEL=out/NAME with the champion in out/report.html (DATA=mnist, sklearn-digits or FILE.npz)
	$(BIN)/python -m digits report "$(or $(MODEL),models/starter)" $(FROM)

mlflow: .venv/train.lock  ## Run the MLflow server and its web UI on 127.0.0.1:5000, with the runs of mlflow.db
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port 5000 \
		--backend-store-uri sqlite:///mlflow.db

# Which tests these are: the markers in pyproject.toml.
ESSENTIAL = (unit or essential) and not rays_proxy

test: .venv/dev.lock  ## Run the unit tests, the main promises on a real service, and a small training: 15 minutes
	$(BIN)/pytest -m "$(ESSENTIAL)"

test-rest: .venv/dev.lock  ## Run the tests of `make test-all` that `make test` leaves out
	$(BIN)/pytest -m "not ($(ESSENTIAL)) and not long and not kubernetes"

test-all: .venv/dev.lock  ## Run all tests but `make faults` and `make k8s-test`: more than an hour
	$(BIN)/pytest

unit: .venv/dev.lock  ## Run the tests that start no service, training or container
	$(BIN)/pytest tests/unit

faults: .venv/dev.lock  ## Run all fault tests, including those that take minutes: half an hour
	$(BIN)/pytest tests/serve/test_faults.py tests/serve/test_nodes.py tests/serve/test_rollouts.py \
		tests/serve/test_clients.py tests/serve/test_accepted_requests.py tests/serve/test_model_changes.py \
		tests/serve/test_service.py tests/serve/test_drills.py tests/serve/test_tutorial.py tests/train/test_faults.py \
		tests/train/test_search.py tests/train/test_streaming.py tests/train/test_elastic.py -m ""

check: lint type unit  ## Run what every commit must pass: lint, type, unit

lint: .venv/dev.lock  ## Check style and format with Ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: .venv/dev.lock  ## Fix style and format with Ruff, as far as it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: .venv/dev.lock  ## Check types with mypy --strict
	$(BIN)/mypy

starter: .venv/train.lock  ## Copy the model of the training run out/NAME into models/starter (NAME=... is required)
	$(BIN)/python -m digits model copy "out/$(NAME)" models/starter

accuracy: .venv/dev.lock  ## Measure the accuracy on 10,000 MNIST test images over HTTP (needs a running `make serve`)
	$(BIN)/python -m benchmarks.accuracy --data "$(or $(DATA),mnist)"

pictures: .venv/dev.lock  ## Report how MODEL=models/starter reads each kind of picture, with a contact sheet: 3 minutes
	$(BIN)/python -m benchmarks.pictures --model "$(or $(MODEL),models/starter)" $(PICTURES)

bench-setup: .venv/dev.lock  ## Install the environments of the servers that `make bench` compares with
	$(BIN)/python -m benchmarks.setup

bench: .venv/dev.lock  ## Compare this service with other servers, for docs/benchmarks.md: half an hour (needs bench-setup, wrk and h2load)
	$(BIN)/python -m benchmarks.compare

load: .venv/dev.lock  ## Send load to URL=... with Locust's simulated users; its web UI is on 127.0.0.1:8089
	$(BIN)/locust -f benchmarks/users.py --host $(URL) --web-host 127.0.0.1 $(LOCUST)

tune: .venv/dev.lock  ## Find the best configuration for this machine and a p99 of SLO_P99_MS=50: 6 minutes (needs wrk and h2load)
	$(BIN)/python -m benchmarks.tune --slo-p99-ms $(SLO_P99_MS)

chaos: .venv/dev.lock  ## Kill a replica or the controller every EVERY_S=2 seconds, under load, for MINUTES=10
	$(BIN)/python -m benchmarks.chaos --minutes $(or $(MINUTES),10) --every-s $(or $(EVERY_S),2)

soak: .venv/dev.lock  ## Check that memory does not grow under MINUTES=60 of load (needs wrk)
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60)

drill: .venv/dev.lock  ## Break one thing on purpose, in a separate service, and show the effects (without NAME=: list the drills)
	$(BIN)/python -m benchmarks.drill $(NAME)

fuzz: .venv/dev.lock  ## Check that no mutated request gets a 5xx or a late answer, for MINUTES=2, without a service
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),2)

reference: .venv/dev.lock  ## Write the generated parts of docs/reference/ and README.md
	$(BIN)/python -m project.reference

docs: .docs/lock  ## Build the documentation site in out/site, for offline reading; broken links are errors
	NO_MKDOCS_2_WARNING=1 .docs/bin/python -m mkdocs build --strict

release: .venv/dev.lock  ## Release the version of pyproject.toml: checks, images, SBOM, site, tag (DRY_RUN=1: print what is missing)
	$(BIN)/python -m project.release$(if $(DRY_RUN), --dry-run)

screenshots: .venv/dev.lock  ## Take the pictures of the pages in docs/ (needs Chromium)
	DIGITS_SCREENSHOTS=docs $(BIN)/pytest tests/browser/test_screenshots.py

audit: .venv/dev.lock  ## Check pins, hashes, installed versions and known CVEs (OFFLINE=1 skips CVEs)
	$(BIN)/python -m requirements.audit $(if $(OFFLINE),--offline)

# DOCKER_FLAGS is for your network: --network host, --build-arg BASE=..., --build-arg PIP_INDEX_URL=...
image:  ## Build the images digits-serve and digits-train of this version (needs Docker)
	for target in serve train; do $(DOCKER) build --quiet --target $$target --tag digits-$$target:$(VERSION) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
		--build-arg CREATED=$$(git log -1 --format=%cI) $(DOCKER_FLAGS) . || exit 1; done

LIST_PACKAGES = from importlib.metadata import distributions as d; \
	print(*sorted(f"{one.name}=={one.version}" for one in d()), sep="\n")

sbom: .venv/dev.lock  ## List the images' packages in out/: Python's as CycloneDX, Debian's as text (needs Docker)
	mkdir -p out
	for target in serve train; do \
		$(DOCKER) run --rm digits-$$target:$(VERSION) python -c '$(LIST_PACKAGES)' > out/digits-$$target.txt && \
		$(DOCKER) run --rm digits-$$target:$(VERSION) dpkg-query --show > out/digits-$$target.debian.txt && \
		$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --output-reproducible \
			--output-file out/digits-$$target.cdx.json out/digits-$$target.txt || exit 1; done

image-scan: sbom  ## Look up known CVEs of the images' Python packages (for Debian's give the list of `sbom` to a scanner)
	$(BIN)/python -m requirements.audit --lists out/digits-serve.txt out/digits-train.txt

image-test: .venv/dev.lock  ## Build the images and test each as a container (needs Docker)
	$(BIN)/pytest tests/containers/test_image.py

cluster-test: .venv/dev.lock  ## Build the images and test them as kuberay/'s pods: faults, upgrade, training (needs Docker)
	$(BIN)/pytest tests/containers/test_cluster.py

deploy:  ## Apply kuberay/overlays/OVERLAY=local and wait until it answers (needs KubeRay; FORCE=1 overrides conflicts)
	$(PYTHON) -m kuberay.deploy $(OVERLAY) $(if $(FORCE),--force-conflicts)

cancel-upgrade:  ## Stop an upgrade: apply the previous manifests of OVERLAY=local and delete the new cluster
	$(PYTHON) -m kuberay.deploy $(OVERLAY) --cancel $(if $(FORCE),--force-conflicts)

k8s-train:  ## Start a new training on the cluster with kuberay/overlays/OVERLAY-training and wait for the result
	$(PYTHON) -m kuberay.job training $(OVERLAY)

k8s-score:  ## Score the pictures on a volume with kuberay/overlays/OVERLAY-scoring and wait for the result
	$(PYTHON) -m kuberay.job scoring $(OVERLAY)

# The schedule goes first, or it begins a training; then the Ray clusters: KubeRay deletes their keys in Redis, so Redis
# and the namespace must still be there.
undeploy:  ## Permanently delete what `make deploy` applied, including volumes and registered models
	$(PYTHON) -m kuberay.overlay $(OVERLAY)
	kubectl delete -n $(NAMESPACE) --ignore-not-found --timeout=10m raycronjob --all
	kubectl delete -n $(NAMESPACE) --ignore-not-found --timeout=10m rayjob,rayservice --all
	kubectl wait -n $(NAMESPACE) raycluster --all --for=delete --timeout=10m || { \
		echo 'A RayCluster is still there after 10 minutes: kuberay/README.md, "When it is stuck"' >&2; exit 1; }
	kubectl delete --ignore-not-found --timeout=10m -k kuberay/overlays/$(OVERLAY)

k8s-test: .venv/dev.lock  ## Test kuberay/ on kubectl's cluster: an hour on a node with 2 CPUs and 16 GiB (needs KubeRay)
	OVERLAY=$(OVERLAY) $(BIN)/pytest tests/kubernetes -m kubernetes

manifests: .venv/dev.lock  ## Write serve_config.yaml, with each manifest's declared changes, into the manifests of kuberay/
	$(BIN)/python -m kuberay.manifests

KUBERAY_CRDS = github.com/ray-project/kuberay/raw/v1.7.0/ray-operator/config/crd/bases

crds:  ## Download KubeRay's schemas into .crds/, for the tests of the manifests
	mkdir -p .crds
	for kind in rayclusters rayservices rayjobs raycronjobs; do \
		curl --fail --silent --show-error --location --max-time 60 --output .crds/ray.io_$$kind.yaml \
			https://$(KUBERAY_CRDS)/ray.io_$$kind.yaml || exit 1; done
	cd .crds && sha256sum --check --quiet ../tests/kuberay-crds.sha256

lock: .venv/dev.lock  ## Resolve pyproject.toml and write requirements/*.txt (UPGRADE="--upgrade-package NAME")
	$(BIN)/uv pip compile $(LOCK) -o requirements/serve.txt
	$(BIN)/uv pip compile $(LOCK) --extra train -c requirements/serve.txt -o requirements/train.txt
	$(BIN)/uv pip compile $(LOCK) --extra train --group dev -c requirements/train.txt -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCKING) --group pyproject.toml:clients -o requirements/clients.txt
	$(BIN)/uv pip compile $(LOCKING) --group pyproject.toml:docs -o requirements/docs.txt

LOCKING = --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)
LOCK = pyproject.toml $(LOCKING)

# The stamp is written last, so an interrupted installation is repeated.
.venv/%.lock: requirements/%.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
		f"Python 3.11, 3.12 or 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m requirements.install $<
	@touch $@

clients: .clients/lock  ## Install the clients of the other protocols, which some tests need, into .clients/ (needs npm)

# npm installs what package-lock.json says, with its hashes, and runs no script of a package.
.clients/lock: requirements/clients.txt $(wildcard tests/clients/typescript/package*.json) | .venv/dev.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .clients
	$(BIN)/uv pip install --quiet --python .clients --require-hashes --requirement $<
	cp tests/clients/typescript/package*.json .clients/
	npm ci --prefix .clients --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.docs/lock: requirements/docs.txt | .venv/dev.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .docs
	$(BIN)/uv pip install --quiet --python .docs --require-hashes --requirement $<
	@touch $@

.PHONY: data report k8s-score docs drill reference release clients screenshots help serve status deploy-config stop env monitor train mlflow test test-rest test-all unit faults check lint fmt type starter \
	accuracy bench-setup bench load tune chaos pictures soak audit fuzz lock image image-test cluster-test deploy undeploy k8s-test \
	manifests crds sbom image-scan cancel-upgrade k8s-train
.PRECIOUS: .venv/%.lock
