# The engine of the GPU topologies: vLLM 0.17.0 on CUDA 12.8. A model's image stands on this one.
#
# No CUDA image underneath: NVIDIA's wheels in the lock are the whole of CUDA that runs here, and
# the driver comes from the host. All that the wheels hold is kept, as their RECORDs say: tests and
# static libraries are under 2 % of it. BASE as in client.Dockerfile, with Python's headers.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS engine
ENV PYTHONDONTWRITEBYTECODE=1
# Triton compiles a launcher for each kernel, in C, while the engine starts. Not pinned: Debian's
# mirrors keep a release's newest only, and no figure comes from this compiler's code.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log
COPY docker/server.lock /opt/server.lock
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
    --no-deps --require-hashes --only-binary=:all: --quiet -r /opt/server.lock
# Bytecode, since a root that cannot be written keeps none: each process of the engine would spend
# 9 s on compiling. Checked by nothing and dated by nothing, so that two builds give the same bytes.
# Not where numpy ships its own.
RUN PYTHONHASHSEED=0 python3 -W ignore -m compileall -qq -j 0 -x numpy/distutils/ \
    --invalidation-mode unchecked-hash /opt/venv/lib

FROM engine AS proven
COPY docker/cuobjdump.lock docker/marlin_kernels.py /
RUN python3 -m pip install --target=/cuobjdump --no-cache-dir --no-compile \
    --no-deps --require-hashes --only-binary=:all: --quiet -r /cuobjdump.lock \
 && chmod +x /cuobjdump/nvidia/cu13/bin/cuobjdump
RUN python3 /marlin_kernels.py --arch sm_80 --cuobjdump /cuobjdump/nvidia/cu13/bin/cuobjdump \
    --vllm /opt/venv/lib/python3.*/site-packages/vllm >/marlin-kernels.txt \
 && cat /marlin-kernels.txt

# On the packages themselves: a copy of 10 GB would take as much again of the builder's disk.
FROM engine
ARG VERSION
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: vLLM on CUDA" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND LicenseRef-NVIDIA-Proprietary" \
      llm-serving-kit.version="${VERSION}" \
      llm-serving-kit.vllm="0.17.0" \
      llm-serving-kit.cuda="12.8"
# What was counted. Without the kernels there is no such file, and so no image.
COPY --from=proven /marlin-kernels.txt /opt/
RUN install -d -m 1777 /cache /evidence
# Any uid may run it, also one that no /etc/passwd names: torch asks for a user's name and a home.
# Which GPUs it sees is for whoever starts it to say. An older driver is refused before the start.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    HOME=/tmp USER=vllm LOGNAME=vllm \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_REQUIRE_CUDA="cuda>=12.8"
USER 65532:65532
WORKDIR /tmp
EXPOSE 8000
CMD ["vllm", "--help"]
