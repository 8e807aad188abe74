"""Engines that are no torch module: vLLM in process, any OpenAI-compatible server, and canned completions.

pipeline("reward-scoring", model=VLLM("org/model"))
pipeline("reward-scoring", model=OpenAICompatible("http://127.0.0.1:8000/v1", "org/model"))
pipeline("reward-scoring", model=Fake(["Scores: \\boxed{8, 3}"]))
"""
