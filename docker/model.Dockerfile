# A server's image with one model baked in, and the list of the model's files.
#
# `make bench` builds it when it is missing, in two steps:
#   --target list     writes MODEL.json, the files of REVISION as the hub lists them
#   the image itself  downloads them, and verifies every byte against that list
#
# A Dockerfile cannot loop, and a model shall have a layer for each weight file, so that a push or a
# pull that breaks off loses one file and not 18 GB. So kit/edge/docker/model_dockerfile.py splits
# the last COPY. As it stands, this file builds too, with all files in one layer. --link makes the
# layers independent of the server's: a new server does not move the weights.
#
#   --build-context list=DIR         a folder with MODEL.json
#   --secret id=HF_TOKEN             a token, for a hub that wants one
#   --secret id=HF_ENDPOINT          a mirror of the hub
#
# A build that broke off goes on with the next file: the cache mount keeps those that are complete (not
# with --no-cache, which begins with an empty one). At its end the model is on the disk twice: in
# the image, and in the builder's cache (`docker builder prune`).
# Equal builds have equal layers with SOURCE_DATE_EPOCH and an output with rewrite-timestamp=true.
# Built for real with small twins from a stand-in hub only; never yet with a model of 18 GB.

ARG BASE=python:3.11-slim-bookworm
ARG SERVER=scratch

FROM ${BASE} AS hub
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY docker/hub.lock /hub.lock
RUN python3 -m venv --without-pip /opt/hub \
 && python3 -m pip --python /opt/hub/bin/python install --no-cache-dir --no-compile \
    --no-deps --require-hashes --only-binary=:all: --quiet -r /hub.lock
COPY docker/fetch_model.py /

FROM hub AS listing
ARG MODEL
ARG REPOSITORY
ARG REVISION
RUN --mount=type=secret,id=HF_TOKEN --mount=type=secret,id=HF_ENDPOINT \
    mkdir /listing \
 && /opt/hub/bin/python /fetch_model.py list "${REPOSITORY}" "${REVISION}" \
    >"/listing/${MODEL}.json"

FROM scratch AS list
COPY --from=listing /listing /

FROM hub AS model
ARG MODEL
RUN --mount=type=cache,id=kit-models,target=/partial,sharing=locked \
    --mount=type=bind,from=list,target=/list \
    --mount=type=secret,id=HF_TOKEN --mount=type=secret,id=HF_ENDPOINT \
    /opt/hub/bin/python /fetch_model.py fetch "/list/${MODEL}.json" "/models/${MODEL}" \
    --partial /partial

FROM ${SERVER}
ARG MODEL
ARG REPOSITORY
ARG REVISION
ARG LICENCE
ARG LISTED_BY
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: server with ${MODEL}" \
      llm-serving-kit.model="${MODEL}" \
      llm-serving-kit.model.repository="${REPOSITORY}" \
      llm-serving-kit.model.revision="${REVISION}" \
      llm-serving-kit.model.licence="${LICENCE}" \
      llm-serving-kit.model.listed-by="${LISTED_BY}"
COPY --link --from=model /models /models
