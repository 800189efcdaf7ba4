# The embedded engine in a container: vLLM on CPU, and the small twins that it serves.
#
# The engine is installed by the same set-up and from the same lock as outside of a container, so
# the two differ in nothing else. BASE as in client.Dockerfile.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS twins
WORKDIR /opt/kit
COPY docker/installer.lock docker/kit.lock docker/models.toml docker/
COPY kit kit
RUN python3 -m kit.bootstrap kit \
 && .kit/venv/bin/kit twins -o /models

FROM ${BASE}
ARG VERSION
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: vLLM on CPU, with twins" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0"
WORKDIR /opt/kit
COPY docker/installer.lock docker/cpu-engine.lock docker/
COPY kit/__init__.py kit/errors.py kit/ownership.py kit/
COPY kit/bootstrap kit/bootstrap
RUN python3 -m kit.bootstrap engine \
 && rm -rf .kit/uv-cache .kit/installer /var/lib/apt/lists/*
COPY --from=twins /models /models
RUN install -d -m 1777 /cache /evidence
# Any user may run it on a root that cannot be written: a home and a name that need no lookup.
ENV PATH=/opt/kit/.kit/engine/bin:$PATH HOME=/tmp USER=kit LOGNAME=kit \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8000
CMD ["vllm", "--help"]
