"""The same rows through Hugging Face datasets.map with the same tokenizer: rows a second, as one line of JSON."""

import json
import os
import sys
import time

from datasets import load_dataset
from transformers import AutoTokenizer

PREFIX = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.\n"
)

model, work = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
rows = load_dataset("json", data_files=os.path.join(work, "data_speed.jsonl"), split="train", cache_dir=os.path.join(work, "hf-cache"))


def encode(batch):
    sources = tokenizer([f"{PREFIX}Human: {text}\nAssistant: " for text in batch["prompt"]])["input_ids"]
    targets = tokenizer(batch["response"], add_special_tokens=False)["input_ids"]
    out = {"input_ids": [], "labels": []}
    for source, target in zip(sources, targets):
        source, target = source[:512], target[:511] + [tokenizer.eos_token_id]
        out["input_ids"].append(source + target)
        out["labels"].append([-100] * len(source) + target)
    return out


began = time.time()
rows.map(encode, batched=True, remove_columns=rows.column_names, num_proc=os.cpu_count(), load_from_cache_file=False)
print(json.dumps({"rows": len(rows), "map_rows_per_s": round(len(rows) / (time.time() - began))}))
