# In place of a GPU server's image, for a rehearsal: the CPU engine, and small twins under the names
# of the models. It is started by the very same Compose files; what it measures is nobody's result.
#
# CPU is the image that cpu.Dockerfile makes.

ARG CPU=llm-serving-kit/cpu
FROM ${CPU}
ARG VERSION
LABEL org.opencontainers.image.title="LLM serving reproducibility kit: rehearsal without a GPU" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0"
USER 0:0
RUN ln -s moe-rehearsal /models/moe \
 && ln -s moe-rehearsal /models/moe-fp8 \
 && ln -s dense-rehearsal /models/dense
USER 65532:65532
# What compose/cpu-tp2.yaml says for the same engine; a GPU topology's file says nothing of a CPU.
ENV VLLM_CPU_OMP_THREADS_BIND="0|1" VLLM_CPU_KVCACHE_SPACE=1 VLLM_SLEEP_WHEN_IDLE=1 \
    VLLM_HOST_IP=127.0.0.1 GLOO_SOCKET_IFNAME=lo
