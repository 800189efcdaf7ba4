"""How far clients are from the truth: the kit, `vllm bench serve`, AIPerf and GuideLLM."""
