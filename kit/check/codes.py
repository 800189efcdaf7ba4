"""Every code that a finding can carry: what it holds, and what to do when it does not hold.

A code is stable: it keeps its meaning for good, in every format. Its first word is its tier. All
stand in this one table, however long, because an enumeration is not put together from several.
"""

from enum import Enum

from kit.check.finding import Tier


class Code(Enum):
    """One member a check: its id, what holds when it passes, and what to do when it does not."""

    def __init__(self, id: str, holds: str, hint: str) -> None:
        self.id = id
        self.holds = holds
        self.hint = hint
        self.tier = Tier(id.partition("-")[0])

    __hash__ = object.__hash__  # an enum's own is Python, and asked for each finding

    SCHEMA_VERSION = (
        "schema-version",
        "the bundle has the schema version that this kit reads",
        "check the bundle with the version of the kit that made it",
    )
    SCHEMA_JSON = (
        "schema-json",
        "`bundle.json` and every line of `records.jsonl` are JSON",
        "ask whoever made the bundle for the original; a sealed bundle is never edited",
    )
    SCHEMA_SHAPE = (
        "schema-shape",
        "`bundle.json` and every record match their JSON Schema: fields, types, ranges",
        "compare the file with the schemas in schemas/",
    )
    SCHEMA_CANONICAL = (
        "schema-canonical",
        "JSON is spelled canonically: sorted keys, no spaces, no repeated key, shortest numbers",
        "ask for the original: the kit writes canonical JSON, so another program wrote this",
    )
    SCHEMA_LIMITS = (
        "schema-limits",
        "sizes and counts are within the limits of the format",
        "nothing that the kit runs comes near these limits; do not trust the bundle",
    )
    SCHEMA_ARRAYS = (
        "schema-arrays",
        "token ids are below 2^31; chunks arrive in order and before the response is complete",
        "ask for the original: the client writes no such arrays",
    )
    SCHEMA_ANSWER = (
        "schema-answer",
        "a record without an error has usage, finish reason and text, and chunks if streamed",
        "ask for the original: the client marks an answer that lacks these as an error",
    )
    INTEGRITY_BAG = (
        "integrity-bag",
        "the folder or archive is a BagIt bag (RFC 8493)",
        "name the folder that holds bagit.txt and data/; make bench puts them into results/local",
    )
    INTEGRITY_ARCHIVE = (
        "integrity-archive",
        "where a bundle is an archive, it is one zstd frame or gzip member with a tar of one bag",
        "`kit pack BUNDLE -o FILE.tar.zst` makes one; else ask for the original",
    )
    INTEGRITY_SIZE = (
        "integrity-size",
        "files, archives and what archives hold are within the format's limits in bytes",
        "nothing that the kit seals comes near these limits; do not unpack it",
    )
    INTEGRITY_COUNT = (
        "integrity-count",
        "there are no more files and folders than the format allows",
        "nothing that the kit seals comes near this limit; do not unpack it",
    )
    INTEGRITY_DEPTH = (
        "integrity-depth",
        "folders are nested no deeper than the format allows",
        "a bundle's files are at most three levels deep: ask for the original",
    )
    INTEGRITY_ENTRY = (
        "integrity-entry",
        "every entry is a regular file, there once, that can be read; no links, no devices",
        "replace the entry by the file itself, from the original",
    )
    INTEGRITY_NAME = (
        "integrity-name",
        "every file name is a plain relative path",
        "do not unpack or copy this bundle; its names try to leave the folder",
    )
    INTEGRITY_FETCH = (
        "integrity-fetch",
        "there is no `fetch.txt`: a bundle holds all of its evidence itself",
        "remove fetch.txt and put the files themselves into the bundle",
    )
    INTEGRITY_UNKNOWN_FILE = (
        "integrity-unknown-file",
        "every file is one that the format knows",
        "remove the file, or ask for the original",
    )
    INTEGRITY_MISSING_FILE = (
        "integrity-missing-file",
        "every file that the manifest lists or the format requires is there",
        "ask for the whole bundle",
    )
    INTEGRITY_UNLISTED_FILE = (
        "integrity-unlisted-file",
        "the manifest lists every payload file",
        "ask for the original: the file was added after sealing",
    )
    INTEGRITY_DIGEST = (
        "integrity-digest",
        "every payload file has the SHA-256 that the manifest gives",
        "ask for the original: the file was changed after sealing, or the copy is damaged",
    )
    INTEGRITY_MANIFEST = (
        "integrity-manifest",
        "the manifest is spelled as `sha256sum` would, sorted, one line a file",
        "ask for the original: the manifest was edited",
    )
    INTEGRITY_TAG_FILE = (
        "integrity-tag-file",
        "`bagit.txt`, `bag-info.txt` and the tag manifest follow from the payload",
        "ask for the original: a tag file was changed after sealing",
    )
    INTEGRITY_GZIP = (
        "integrity-gzip",
        "every compressed file is one gzip member that inflates within the limits",
        "do not inflate the file with another tool before you know where it comes from",
    )
    INTEGRITY_PLAN_DIGEST = (
        "integrity-plan-digest",
        "`plan_digest` is the SHA-256 of the plan",
        "ask for the original: the plan was edited",
    )
    INTEGRITY_COPY = (
        "integrity-copy",
        "no other of these bundles holds the same measurements under another id",
        "hand in each run once: a copy that is sealed again is not a second run",
    )
    ARITHMETIC_TIER = (
        "arithmetic-tier",
        "document and records could be read, so this tier looked at them",
        "mend what the schema tier found, then check again",
    )
    ARITHMETIC_COMPLETION_TOKENS = (
        "arithmetic-completion-tokens",
        "`completion_tokens` is the number of token ids",
        "throughput counts completion tokens: do not use these figures",
    )
    ARITHMETIC_TEXT = (
        "arithmetic-text",
        "a response's text is what its token ids say, and a prompt's ids ask it",
        "ask for the original; for a model of the hub give its tokenizer with --tokenizer",
    )
    ARITHMETIC_PROMPT_TOKENS = (
        "arithmetic-prompt-tokens",
        "`prompt_tokens` is the number of prompt token ids",
        "do not use these figures: the prompt was not the one that was counted",
    )
    ARITHMETIC_CHUNKS = (
        "arithmetic-chunks",
        "the tokens of a streamed response's chunks add up to `completion_tokens`",
        "do not use the latencies of this bundle",
    )
    ARITHMETIC_SERVER_COUNTER = (
        "arithmetic-server-counter",
        "the server's own counters moved by what a pass's records add up to",
        "records and server disagree: do not use these figures; measure again on an idle server",
    )
    ARITHMETIC_COUNTER_GAP = (
        "arithmetic-counter-gap",
        "the server's counters stand still between passes",
        "something was generated that is not in the records: measure again on an idle server",
    )
    ARITHMETIC_OVERLAP = (
        "arithmetic-overlap",
        "each request of a serial suite is sent after the last response is complete",
        "do not use these figures: times were edited, or the client was not the kit's",
    )
    ARITHMETIC_IDLE = (
        "arithmetic-idle",
        "a serial client sends the next request as soon as a response is complete",
        "do not use these figures: responses were shortened, or the client was held up",
    )
    ARITHMETIC_SPAN = (
        "arithmetic-span",
        "every response is complete before the run's end, and in the time that it may take",
        "do not use these figures: the times do not fit into the run",
    )
    ARITHMETIC_CLOCK = (
        "arithmetic-clock",
        "the run took as long by the UTC clock as by the monotonic one",
        "the host's clock was set in mid-run; wait until it is synchronised, then measure again",
    )
    ARITHMETIC_ENGINE_START = (
        "arithmetic-engine-start",
        "all metrics are of one engine, that had started when it was first asked",
        "ask for the original: metrics of several engines, or of another run, were put together",
    )
    ARITHMETIC_TIME_WITNESS = (
        "arithmetic-time-witness",
        "a pass's seconds are those that the server counted, plus a little for the way",
        "client and server disagree about time: do not use these figures",
    )
    ARITHMETIC_STREAM_WITNESS = (
        "arithmetic-stream-witness",
        "streamed tokens came no sooner, and no closer together, than the server made them",
        "client and server disagree about time: do not use these latencies",
    )
    ARITHMETIC_RESOLUTION = (
        "arithmetic-resolution",
        "times have the last digits of a clock, and are not on a coarser grid",
        "do not use these figures: times were rounded or typed in",
    )
    ARITHMETIC_REPEATS = (
        "arithmetic-repeats",
        "no pass and few requests took exactly as long as others, to the microsecond",
        "do not use these figures: times were copied",
    )
    TOPOLOGY_TIER = (
        "topology-tier",
        "the engine is the kit's own, so this tier looked at its logs and GPUs",
        "nothing to do: of a server of somebody else's nothing is known",
    )
    TOPOLOGY_TRANSPORT = (
        "topology-transport",
        "the ranks talk over what the topology promises, on every channel",
        "these figures belong to another topology: see why NCCL chose another way, measure again",
    )
    TOPOLOGY_NCCL_ENVIRONMENT = (
        "topology-nccl-environment",
        "NCCL was told what the plan says, and nothing else",
        "unset NCCL_* variables and /etc/nccl.conf on the host, then measure again",
    )
    TOPOLOGY_ENGINE_VERSION = (
        "topology-engine-version",
        "the log and `/version` name the pinned release of vLLM",
        "measure again with the kit's own engine or image",
    )
    TOPOLOGY_DEVICE = (
        "topology-device",
        "the server's log names the device that the topology is of",
        "measure again on a machine with the devices that the topology needs",
    )
    TOPOLOGY_ARGUMENTS = (
        "topology-arguments",
        "the server was started with the plan's arguments and no others, and took them",
        "measure again with an unchanged checkout",
    )
    TOPOLOGY_MODEL = (
        "topology-model",
        "the server's log names the plan's model: its folder, its class, a KV cache of its shape",
        "these figures are another model's: ask for the original, or measure again",
    )
    TOPOLOGY_LOG = (
        "topology-log",
        "logs are of this run: a line for each response; NCCL's is by its ranks",
        "ask for the original: these logs and these records are not of one run",
    )
    TOPOLOGY_CONTEXT_LIMIT = (
        "topology-context-limit",
        "the server's context limit is the plan's",
        "measure again: another limit leaves another share of memory to the cache",
    )
    TOPOLOGY_ALL_REDUCE = (
        "topology-all-reduce",
        "custom all-reduce is off: it goes over NVLink whatever NCCL is told",
        "measure again with --disable-custom-all-reduce",
    )
    TOPOLOGY_KERNELS = (
        "topology-kernels",
        "the kernels for 4-bit weights are Marlin, for attention and experts; FP8 has none of them",
        "measure again on a GPU of compute capability 8.0 or newer, with the pinned model",
    )
    TOPOLOGY_NVLINK = (
        "topology-nvlink",
        "NVLink is up and in use where the topology promises it, and carries nothing elsewhere",
        "nvidia-smi nvlink --status",
    )
    TOPOLOGY_TELEMETRY = (
        "topology-telemetry",
        "telemetry is a driver's, and covers the run without a gap, to a line that ends it",
        "measure again: without telemetry nobody knows what the GPUs did",
    )
    TOPOLOGY_SLOWDOWN = (
        "topology-slowdown",
        "no GPU was slowed down by heat or by its board; the power cap is normal",
        "improve cooling and power supply, then measure again",
    )
    TOPOLOGY_LIMITS = (
        "topology-limits",
        "no GPU was held back: its power limit is its default, under load its clocks are its own",
        "sudo nvidia-smi -pl WATTS and -rmc undo it; or say that they are figures of limited cards",
    )
    TOPOLOGY_PCIE = (
        "topology-pcie",
        "under load every GPU had the PCI Express generation and width that it can have",
        "reseat the card, or use a slot or riser that serves it in full",
    )
    TOPOLOGY_PROCESSES = (
        "topology-processes",
        "nothing else was on the GPUs before the engine was started",
        "end other programs on the GPUs (nvidia-smi lists them), then measure again",
    )
    TOPOLOGY_CONTAINERS = (
        "topology-containers",
        "the containers were created as the topology says: a GPU for each rank",
        "measure again with the unchanged Compose file",
    )
    PHYSICS_TIER = (
        "physics-tier",
        "figures were held against what the model's shape and the GPUs allow, both being known",
        "nothing to do; where it is only the GPU that is not known, add it to docker/gpus.toml",
    )
    PHYSICS_ROOFLINE = (
        "physics-roofline",
        "no request and no pass is faster than memory can deliver the bytes that its tokens take",
        "do not use these figures: this model cannot be so fast on this hardware",
    )
    PHYSICS_PREFILL = (
        "physics-prefill",
        "no first token comes before the prompt, less what was cached, can have been computed",
        "do not use the latencies of this bundle",
    )
    PHYSICS_STREAM = (
        "physics-stream",
        "no chunk comes before the steps of its tokens can have been made",
        "do not use the latencies of this bundle",
    )
    PHYSICS_POWER = (
        "physics-power",
        "the GPUs drew what reading the weights takes and no more than they may, and were not idle",
        "telemetry and records do not belong together: do not use these figures",
    )
    PHYSICS_MEMORY_CLOCK = (
        "physics-memory-clock",
        "memory ran at the clock of its datasheet, or below",
        "figures from overclocked memory are not comparable: reset the clocks, then measure again",
    )
    PROTOCOL_TIER = (
        "protocol-tier",
        "document and records could be read, so this tier looked at them",
        "mend what the schema tier found, then check again",
    )
    PROTOCOL_STATUS = (
        "protocol-status",
        "a complete bundle has no failure and no error; a partial one says why it is partial",
        "measure again; a run that failed stays marked partial",
    )
    PROTOCOL_RUNTIME = (
        "protocol-runtime",
        "our own engine is in the plan, in containers if on GPUs; somebody else's is in no plan",
        "measure again: the plan belongs to another kind of run",
    )
    PROTOCOL_DEFINITION = (
        "protocol-definition",
        "passes and connection are those of the protocol that the plan names",
        "measure again with PROTOCOL=kit or PROTOCOL=article, unchanged",
    )
    PROTOCOL_PLAN = (
        "protocol-plan",
        "the plan is the one that the kit makes of its choices: engine, flags, seed, deviations",
        "measure again with an unchanged checkout; check an older bundle with the kit that made it",
    )
    PROTOCOL_PASSES = (
        "protocol-passes",
        "there are enough measured passes for an interval",
        "measure with PASSES=3 or more",
    )
    PROTOCOL_PROMPTS = (
        "protocol-prompts",
        "prompts and system message are those of the suite that the plan names",
        "figures from other prompts are not comparable: measure again with the suite unchanged",
    )
    PROTOCOL_SAMPLING = (
        "protocol-sampling",
        "sampling is as published",
        "measure again with the kit's own sampling",
    )
    PROTOCOL_BUDGET = (
        "protocol-budget",
        "the token budget is the one that this model is measured with",
        "measure again with the model's own max_tokens",
    )
    PROTOCOL_MODEL_FILES = (
        "protocol-model-files",
        "the engine was given the model's files and no others, each with its pinned SHA-256",
        "let the kit make the model again, then measure again",
    )
    PROTOCOL_BASE_IMAGE = (
        "protocol-base-image",
        "the images stand on the base that docker/images.toml pins by its digest",
        "build with make images, once the base is pinned where its registry can be reached",
    )
    PROTOCOL_REQUESTS = (
        "protocol-requests",
        "the records are the plan's requests: none missing, none added, in order",
        "measure again: requests were dropped, repeated or swapped",
    )
    PROTOCOL_SEED = (
        "protocol-seed",
        "every request has the seed that the plan gives it",
        "measure again: a record was moved from one pass to another, or another seed was sent",
    )
    PROTOCOL_PROMPT_TOKEN_IDS = (
        "protocol-prompt-token-ids",
        "a prompt has the same token ids in every pass",
        "measure again: the server was not sent the same prompt each time",
    )
    PROTOCOL_COPIES = (
        "protocol-copies",
        "no pass has the responses of others: each request has a seed of its own",
        "measure again: a pass was copied, or the server took no notice of temperature and seed",
    )
    PROTOCOL_OUTPUT_LENGTH = (
        "protocol-output-length",
        "no response is empty or over the token budget; `length` means that it was spent",
        "do not use these figures: output was cut short or counted wrongly",
    )
    PROTOCOL_CACHE = (
        "protocol-cache",
        "the prefix cache did what the plan's policy says",
        "measure again; with --cache cold the server must understand cache_salt",
    )
    PROTOCOL_FRESH_ENGINE = (
        "protocol-fresh-engine",
        "the kit's own engine had counted nothing before the warm-up",
        "start the engine anew and measure again: what was asked before may still be in its cache",
    )
    PROTOCOL_METRICS_FILES = (
        "protocol-metrics-files",
        "the server's metrics are there from before and after each pass of the plan",
        "measure again: without its metrics a pass has no witness",
    )
    PROTOCOL_EVIDENCE = (
        "protocol-evidence",
        "evidence that is not there is named in `absent`, and none is missing of our own engine",
        "measure again: a bundle of the kit's own engine holds all of its evidence",
    )
    PROTOCOL_FIRST_PASS = (
        "protocol-first-pass",
        "the first measured pass is as fast as the rest",
        "the server was still warming up: measure again with more passes, on an idle host",
    )
    PROTOCOL_SPREAD = (
        "protocol-spread",
        "measured passes agree with each other",
        "close other programs, fix the clock frequency, and measure with more passes",
    )
    PROTOCOL_HOST_LOAD = (
        "protocol-host-load",
        "the host was not busy with other things",
        "close other programs, or use a host of your own, and measure again",
    )
    PROTOCOL_GOVERNOR = (
        "protocol-governor",
        "the CPU's frequency governor is `performance`",
        "sudo cpupower frequency-set --governor performance",
    )
    CLAIMS_TIER = (
        "claims-tier",
        "a reference's claims were judged",
        "kit verify PATH... --reference article-part-1: claims are about sets of bundles",
    )
