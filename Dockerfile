# Two images: `serve` is the head and the workers of a Ray cluster, `train` trains and runs the MLflow server.
#     docker build --target serve --tag digits-serve:0.2.0 .
#     docker run --rm --publish 8000:8000 digits-serve:0.2.0

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages-serve
ARG PIP_INDEX_URL
# The base's pip installs into the environment, which has no pip of its own.
RUN python -m venv --without-pip /opt/venv
COPY requirements/serve.txt /tmp/
RUN python -m pip --python /opt/venv/bin/python install \
        --no-cache-dir --no-compile --disable-pip-version-check --require-hashes -r /tmp/serve.txt
# Remove Ray's Java client and its reinforcement learning library: nothing here imports them.
RUN rm -r /opt/venv/lib/python3.*/site-packages/ray/jars /opt/venv/lib/python3.*/site-packages/ray/rllib
# Compile now, because the container cannot write beside the sources.  Unchecked: Python does not compare a compiled
# file with its source, which never changes.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM packages-serve AS packages-lean
# Remove what serving never loads, a sixth of the image.  Each line is a reason:
# Ray's libraries for training and data
# what builds environments for Ray's runtime_env, and the older aiohttp that its agent prefers to the one installed
# a profiler that needs a capability which pods do not have
# the clients of Databricks and Git, which MLflow imports only for a databricks:// address and in a working copy
# Google's client and login with the cryptography below it, which only these and an exporter for Google's cloud need
# MLflow's server, which runs in the other image
# ONNX Runtime's conversion tools and its library for other languages
# NumPy's build tools; tests; and what only compilers, editors and debuggers read
RUN cd /opt/venv/lib/python3.*/site-packages \
    && rm -r \
        ray/data ray/llm ray/train ray/tune \
        virtualenv* distlib* python_discovery* ray/_private/runtime_env/agent/thirdparty_files \
        py_spy* \
        databricks/sdk databricks_sdk* git gitpython* gitdb* smmap* \
        google/api_core google/auth google/oauth2 google_api_core* google_auth* proto proto_plus* \
        cryptography* cffi* _cffi_backend* pycparser* pyasn1* \
        mlflow/server mlflow/assistant mlflow/demo \
        onnxruntime/capi/libonnxruntime.so.* onnxruntime/backend onnxruntime/datasets \
        onnxruntime/quantization onnxruntime/tools onnxruntime/transformers \
        numpy/distutils numpy/f2py \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && find . -type f \( -name '*.map' -o -name '*.pyi' -o -name '*.a' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete \
    && cd /opt/venv/bin && rm py-spy virtualenv tune mlflow cffi-gen-src f2py numpy-config onnxruntime_test

FROM packages-serve AS code
WORKDIR /app
COPY app.py train_ray.py serve_config.yaml serve.env ./
COPY digits digits
COPY models/starter models/starter
# The configuration listens on loopback, which cannot be reached from outside a container.
RUN sed -i 's/^  host: 127\.0\.0\.1 .*/  host: 0.0.0.0/' serve_config.yaml && grep -qx '  host: 0.0.0.0' serve_config.yaml
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash .

FROM ${BASE} AS runtime
RUN groupadd --gid 1000 digits && useradd --uid 1000 --gid 1000 --home-dir /tmp --no-create-home digits
# BASH_ENV: bash reads serve.env first, so the variables of that file are set however a container is started.
# HOME: the only folder that a pod can write is /tmp.
# The object store: Ray reserves 30 % of the machine's memory by default, and Serve puts nothing into it.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=200000000 \
    RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_SERVE_HAPROXY_BINARY_PATH=/app/digits/gateway/haproxy.py \
    BASH_ENV=/app/digits/serving/environment.sh
WORKDIR /app
USER 1000:1000
# Not started by KubeRay, which has a bash of its own: the command runs in a bash too.
ENTRYPOINT ["bash", "-c", "exec \"$@\"", "bash"]

FROM runtime AS serve
COPY --from=packages-lean /opt/venv /opt/venv
COPY --from=code /app /app
EXPOSE 8000
CMD ["bash", "digits/serving/container.sh"]
ARG BASE
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="digits-serve" \
      org.opencontainers.image.description="A digit model served by Ray Serve with batched inference" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.created="${CREATED}" \
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
ARG BASE
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="digits-train" \
      org.opencontainers.image.description="Trains a digit model with Ray Train, and runs MLflow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
