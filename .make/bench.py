"""The same LoRA steps and the same decode with PyTorch, transformers and PEFT in f32, on the same imported weights."""
import json, resource, statistics, sys, time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

model_folder = sys.argv[1] + "/model"
torch.manual_seed(42)
model = AutoModelForCausalLM.from_pretrained(model_folder).float()
tokenizer = AutoTokenizer.from_pretrained(model_folder)
rows = [json.loads(line) for line in open(sys.argv[1] + "/kettle-and-co.jsonl")][:32]
texts = [f"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{r['prompt']}<|im_end|>\n<|im_start|>assistant\n{r['response']}<|im_end|>\n" for r in rows]

ids = torch.randint(5, 1000, (1, 40))
with torch.no_grad():
    start = time.time()
    model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=64, max_new_tokens=64, pad_token_id=0)
    decode = 64 / (time.time() - start)

tuned = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=1e-3)
seconds = []
for step in range(8):
    batch = [tokenizer(t)["input_ids"] for t in texts[step * 4 : step * 4 + 4]]
    width = max(map(len, batch))
    x = torch.tensor([[0] * (width - len(b)) + b for b in batch])
    mask = torch.tensor([[0] * (width - len(b)) + [1] * len(b) for b in batch])
    start = time.time()
    loss = tuned(input_ids=x, attention_mask=mask, labels=x.masked_fill(mask == 0, -100)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    seconds.append(time.time() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(f"   LoRA step, batch 4: {statistics.median(seconds[1:]):.2f} s (median of {len(seconds) - 1}), peak {peak:.0f} MB")
print(f"   decode, batch 1: {decode:.1f} tokens/s over 64 tokens")
