# A server's image with one model baked in.
#
#     kit model-dockerfile moe | docker build -f - --build-arg SERVER=IMAGE -t NAME .
#
# A Dockerfile cannot loop, and a model shall have a layer for each weight file, so that a push or a
# pull that breaks off loses one file and not 18 GB. `kit model-dockerfile` therefore prints this
# very file with the model's facts filled in and the last COPY split. As it stands it builds too,
# with the facts as build arguments and all files in one layer.
#
# --link makes the layers independent of the server's: a new server does not move the weights.
# A model that is not pinned (no docker/models/MODEL.json) is refused. Every byte is verified.
#
#   --build-arg HF_ENDPOINT=https://MIRROR        another hub: it is held against the pins
#   --secret id=hf_token,env=HF_TOKEN             a token, for a hub that wants one
#   --build-context weights=DIR                   no hub: take the files from a folder
#
# A build that broke off goes on where it stopped: the cache mount keeps what was downloaded (not
# with --no-cache, which begins with an empty one). At its end the model is on the disk twice: in
# the image, and in the builder's cache (`docker builder prune`).
# Equal builds have equal layers with SOURCE_DATE_EPOCH and an output with rewrite-timestamp=true.
# Built for real with small twins from a stand-in hub only; never yet with a model of 18 GB.

ARG BASE=python:3.11-slim-bookworm
ARG SERVER

FROM scratch AS weights

FROM ${BASE} AS model
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/kit
# Only what the download needs, and not kit/__init__.py, which holds the version: a new one of the
# kit, or another model's pin, must not download everything again. The pattern matches one file, or
# none where the model is not pinned, which is then said.
COPY kit/errors.py kit/
COPY kit/bootstrap/__init__.py kit/bootstrap/addresses.py kit/bootstrap/fetch_model.py \
     kit/bootstrap/folder_lock.py kit/bootstrap/hub.py kit/bootstrap/model_folder.py \
     kit/bootstrap/pins.py kit/bootstrap/
ARG MODEL
COPY docker/models/README.md docker/models/${MODEL}.jso[n] docker/models/
ARG HF_ENDPOINT
RUN --mount=type=cache,id=kit-models,target=/partial,sharing=locked \
    --mount=type=bind,from=weights,target=/weights \
    --mount=type=secret,id=hf_token \
    HF_TOKEN_PATH=/run/secrets/hf_token \
    python3 -m kit.bootstrap.fetch_model "docker/models/${MODEL}.json" "/models/${MODEL}" \
    --from /weights --partial /partial

FROM ${SERVER}
ARG MODEL
ARG REPOSITORY
ARG REVISION
ARG LICENCE
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: server with ${MODEL}" \
      llm-serving-kit.model="${MODEL}" \
      llm-serving-kit.model.repository="${REPOSITORY}" \
      llm-serving-kit.model.revision="${REVISION}" \
      llm-serving-kit.model.licence="${LICENCE}"
COPY --link --from=model /models /models
