"""The same decode with llama.cpp, from the very GGUF file the model was imported from; the best of three."""
import os, sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 512
params.cpuparams.n_threads = len(os.sched_getaffinity(0))
server = xllamacpp.Server(params)
request = {
    "messages": [{"role": "user", "content": "Tell me a long story about a lighthouse."}],
    "max_tokens": 128,
    "temperature": 0.0,
}
answers = [server.handle_chat_completions(request) for _ in range(3)]
best = max(answers, key=lambda answer: answer["timings"]["predicted_per_second"])
print(f"   decode, batch 1: {best['timings']['predicted_per_second']:.1f} tokens/s over {best['usage']['completion_tokens']} tokens")
