# The client: sends the prompts, samples the GPUs, seals the bundle. No engine and no torch in it.
#
# BASE is a Debian with Python 3.11 and pip; `make images` hands in the one that docker/images.toml
# pins. Nothing here depends on the hour or on the machine: two builds give the same digest.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
ENV PYTHONDONTWRITEBYTECODE=1
COPY docker/kit.lock /kit.lock
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
    --no-deps --require-hashes --only-binary=:all: --quiet -r /kit.lock

FROM ${BASE}
ARG VERSION
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: client" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
# Any user may run it on a root that cannot be written: a home and a name that need no lookup.
ENV HOME=/tmp USER=kit LOGNAME=kit MPLCONFIGDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/opt/kit
COPY --from=packages /opt/venv /opt/venv
COPY . /opt/kit
RUN install -d -m 1777 /evidence /results
USER 65532:65532
WORKDIR /opt/kit
ENTRYPOINT ["/opt/venv/bin/python", "-m", "kit"]
CMD ["--help"]
