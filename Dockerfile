# One image is head and worker: `serve` answers, `train` trains and runs the MLflow server.
#     docker build --target serve --tag digits-serve:0.1.0 .
#     docker run --rm --publish 8000:8000 digits-serve:0.1.0

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages-serve
ARG PIP_INDEX_URL
# The base's pip installs into an environment that has none itself.
RUN python -m venv --without-pip /opt/venv
COPY requirements/serve.txt /tmp/
RUN python -m pip --python /opt/venv/bin/python install \
        --no-cache-dir --no-compile --disable-pip-version-check --require-hashes -r /tmp/serve.txt
# Ray's Java client and its reinforcement learning, which nothing here imports.
RUN rm -r /opt/venv/lib/python3.*/site-packages/ray/jars /opt/venv/lib/python3.*/site-packages/ray/rllib
# Nobody may write beside the sources later; what never changes need not be compared with its source either.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM packages-serve AS code
WORKDIR /app
COPY app.py train_ray.py serve_config.yaml ./
COPY digits digits
COPY models/starter models/starter
# Loopback inside a container is reached by nobody.
RUN sed -i 's/^  host: 127\.0\.0\.1 .*/  host: 0.0.0.0/' serve_config.yaml && grep -qx '  host: 0.0.0.0' serve_config.yaml
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash .

FROM ${BASE} AS runtime
RUN groupadd --gid 1000 digits && useradd --uid 1000 --gid 1000 --home-dir /tmp --no-create-home digits
# HOME is what a pod may write.  Ray would reserve 30 % of the machine's memory for objects; Serve keeps none.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=200000000 \
    RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_SERVE_HAPROXY_BINARY_PATH=/app/digits/gateway/haproxy.py
# serve.env, which has the reasons; a test holds the two equal.
ENV RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=digits.gateway.middleware:middlewares \
    RAY_SERVE_HAPROXY_RETRY_ON="conn-failure empty-response" \
    RAY_SERVE_HAPROXY_NBTHREAD=2 \
    RAY_SERVE_HAPROXY_METRICS_ENABLED=0 \
    RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=30 \
    RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S=30 \
    RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=10 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=2 \
    RAY_SERVE_HAPROXY_STATS_PORT=8404 \
    RAY_SERVE_HAPROXY_METRICS_PORT=9101 \
    RAY_SERVE_METRICS_EXPORT_INTERVAL_MS=25 \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE=1 \
    RAY_SERVE_LOG_TO_STDERR=1
WORKDIR /app
USER 1000:1000

FROM runtime AS serve
COPY --from=packages-serve /opt/venv /opt/venv
COPY --from=code /app /app
EXPOSE 8000
CMD ["bash", "digits/serving/container.sh"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="digits-serve" \
      org.opencontainers.image.description="A digit model served by Ray Serve with batched inference" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM packages-serve AS packages-train
COPY requirements/train.txt /tmp/
RUN python -m pip --python /opt/venv/bin/python install \
        --no-cache-dir --no-compile --disable-pip-version-check --require-hashes -r /tmp/train.txt
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM runtime AS train
COPY --from=packages-train /opt/venv /opt/venv
COPY --from=code /app /app
CMD ["python", "train_ray.py", "--help"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="digits-train" \
      org.opencontainers.image.description="Trains a digit model with Ray Train, and runs MLflow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
