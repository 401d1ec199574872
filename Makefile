# Every command of this project.  `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
BIN := .venv/bin
DATA ?= mnist
URL ?= http://127.0.0.1:8000
SLO_P99_MS ?= 50
OVERLAY ?= local
DOCKER ?= docker
DOCKER_FLAGS ?=
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

HAPROXY ?= 1
# serve.env as the shell takes it, and what Ray starts as HAProxy, which must be an absolute path.
SERVE_ENV = $(shell sed -n "s/^\([A-Z_0-9]*\)=\(.*\)/\1='\2'/p" serve.env) \
	RAY_SERVE_HAPROXY_BINARY_PATH="$(CURDIR)/digits/gateway/haproxy.py" \
	$(if $(filter 0,$(HAPROXY)),RAY_SERVE_ENABLE_HA_PROXY=0 RAY_SERVE_THROUGHPUT_OPTIMIZED=0)

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/serve.lock  ## Serve serve_config.yaml on 127.0.0.1:8000 (HAPROXY=0 for Ray's own proxy)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(SERVE_ENV) $(BIN)/serve run serve_config.yaml

train: .venv/train.lock  ## Train, evaluate, register and promote (DATA=mnist, FILE.npz or sklearn-digits)
	$(BIN)/python train_ray.py --data $(DATA)

mlflow: .venv/train.lock  ## The MLflow server and UI on 127.0.0.1:5000, over mlflow.db
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port 5000 \
		--backend-store-uri sqlite:///mlflow.db

# Which tests these are: the markers in pyproject.toml.
ESSENTIAL = (unit or essential) and not rays_proxy

test: .venv/dev.lock  ## Unit tests, the main promises on a real service, one small training: 10 minutes
	$(BIN)/pytest -m "$(ESSENTIAL)"

test-rest: .venv/dev.lock  ## The tests of `make test-all` that `make test` leaves out
	$(BIN)/pytest -m "not ($(ESSENTIAL)) and not long and not kubernetes"

test-all: .venv/dev.lock  ## All tests but those of `make faults` and `make k8s-test`: 25 minutes, more with containers
	$(BIN)/pytest

unit: .venv/dev.lock  ## Tests that start no service, training or container
	$(BIN)/pytest tests/unit

faults: .venv/dev.lock  ## Every fault of the service and of training, those that take minutes too: half an hour
	$(BIN)/pytest tests/serve/test_faults.py tests/serve/test_nodes.py tests/serve/test_rollouts.py \
		tests/serve/test_clients.py tests/serve/test_accepted_requests.py tests/serve/test_model_changes.py \
		tests/serve/test_service.py tests/train/test_faults.py -m ""

check: lint type unit  ## Lint, types and unit tests: a commit must pass them

lint: .venv/dev.lock  ## Ruff, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: .venv/dev.lock  ## Ruff, mending what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: .venv/dev.lock  ## mypy --strict
	$(BIN)/mypy

starter: .venv/train.lock  ## Make models/starter of the finished training run NAME=...
	$(BIN)/python -c 'from pathlib import Path; from digits.models.folders import copy_for_serving; \
		copy_for_serving(Path("out/$(NAME)"), Path("models/starter"))'

accuracy: .venv/dev.lock  ## 10,000 MNIST test images over HTTP against a running `make serve`
	$(BIN)/python -m benchmarks.accuracy --data $(DATA)

bench-setup: .venv/dev.lock  ## The environments of the peers that `make bench` compares with
	$(BIN)/python -m benchmarks.setup

bench: .venv/dev.lock  ## This service against its peers: docs/benchmarks.md (needs wrk and h2load)
	$(BIN)/python -m benchmarks.compare

load: .venv/dev.lock  ## Locust's users against URL=..., its web page on 127.0.0.1:8089
	$(BIN)/locust -f benchmarks/users.py --host $(URL) --web-host 127.0.0.1 $(LOCUST)

tune: .venv/dev.lock  ## The best configuration for SLO_P99_MS=... on this machine (needs wrk and h2load)
	$(BIN)/python -m benchmarks.tune --slo-p99-ms $(SLO_P99_MS)

chaos: .venv/dev.lock  ## MINUTES=10 of load while every EVERY_S=2 seconds a replica or the controller is killed
	$(BIN)/python -m benchmarks.chaos --minutes $(or $(MINUTES),10) --every-s $(or $(EVERY_S),2)

soak: .venv/dev.lock  ## MINUTES=60 of load: memory must stay where it is (needs wrk)
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60)

fuzz: .venv/dev.lock  ## Mutated requests for MINUTES=2, in process: none may be answered by a 5xx, or late
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),2)

audit: .venv/dev.lock  ## Locks pinned and hashed, installed as locked, nothing known to be bad (OFFLINE=1: not the last)
	$(BIN)/python -m requirements.audit $(if $(OFFLINE),--offline)

# DOCKER_FLAGS: --network host, --build-arg BASE=..., --build-arg PIP_INDEX_URL=... as your network needs.
image:  ## The images digits-serve and digits-train of this version
	for target in serve train; do $(DOCKER) build --quiet --target $$target --tag digits-$$target:$(VERSION) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) $(DOCKER_FLAGS) . || exit 1; done

image-test: .venv/dev.lock  ## Build the images and run them as containers: answers, limits, SIGTERM, size, start
	$(BIN)/pytest tests/containers/test_image.py

cluster-test: .venv/dev.lock  ## Containers as the pods of kuberay/, Redis and MLflow with them: faults, upgrade, training
	$(BIN)/pytest tests/containers/test_cluster.py

deploy:  ## Apply kuberay/overlays/OVERLAY=local to kubectl's cluster, and wait until it serves
	kubectl apply --server-side -k kuberay/overlays/$(OVERLAY)
	kubectl wait -n digits rayservice/digits --for=condition=Ready --timeout=15m
	kubectl wait -n digits rayservice/digits --for=condition=UpgradeInProgress=false --timeout=15m

# The clusters first: KubeRay empties their part of Redis, which needs Redis and a namespace that still stands.
undeploy:  ## Take it away again
	kubectl delete -n digits --ignore-not-found --timeout=10m rayjob,rayservice --all
	while kubectl get -n digits raycluster -o name | grep .; do sleep 2; done
	kubectl delete --ignore-not-found --timeout=10m -k kuberay/overlays/$(OVERLAY)

k8s-test: .venv/dev.lock  ## Install OVERLAY=local on kubectl's cluster, use, scale, upgrade, retrain it, take it away
	OVERLAY=$(OVERLAY) $(BIN)/pytest tests/kubernetes -m kubernetes

KUBERAY_CRDS = github.com/ray-project/kuberay/raw/v1.7.0/ray-operator/config/crd/bases

crds:  ## KubeRay's schemas, which the manifests' tests need, into .crds/
	mkdir -p .crds
	for kind in rayclusters rayservices rayjobs raycronjobs; do \
		curl --fail --silent --show-error --location --output .crds/ray.io_$$kind.yaml \
			https://$(KUBERAY_CRDS)/ray.io_$$kind.yaml || exit 1; done
	cd .crds && sha256sum --check --quiet ../tests/kuberay-crds.sha256

lock: .venv/dev.lock  ## Write requirements/*.txt anew from pyproject.toml
	$(BIN)/uv pip compile $(LOCK) -o requirements/serve.txt
	$(BIN)/uv pip compile $(LOCK) --extra train -c requirements/serve.txt -o requirements/train.txt
	$(BIN)/uv pip compile $(LOCK) --extra train --group dev -c requirements/train.txt -o requirements/dev.txt

LOCK = pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header

# The stamp is written last: an installation that was cut off is done again.
.venv/%.lock: requirements/%.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
		f"Python 3.11, 3.12 or 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r $<
	@touch $@

.PHONY: help serve train mlflow test test-rest test-all unit faults check lint fmt type starter accuracy bench-setup bench load tune chaos soak audit fuzz lock \
	image image-test cluster-test deploy undeploy k8s-test crds
.PRECIOUS: .venv/%.lock
