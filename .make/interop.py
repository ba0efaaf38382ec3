"""Adapters and merged models as Burnish writes them, opened with PEFT and transformers: the logits must agree."""
import json, sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.utils import logging

logging.disable_progress_bar()

TOLERANCE = 2e-4
# transformers has no class for these, which compute as Llama does.
AS_LLAMA = ("baichuan", "internlm", "aquila")


class Part(torch.nn.Module):
    """A third of what `W_pack` of an attention gives, whatever PEFT has made of that map."""

    def __init__(self, attention, part):
        super().__init__()
        self.attention, self.part = [attention], part

    def forward(self, x):
        return self.attention[0].W_pack(x).chunk(3, dim=-1)[self.part]


def as_llama(folder, config):
    """The Llama class under the names of the files."""
    fields = {name: value for name, value in config.items() if name not in ("model_type", "architectures")}
    fields["attention_bias"] = bool(config.get("bias"))
    model = LlamaForCausalLM._from_config(LlamaConfig(**fields), attn_implementation="eager", dtype=torch.float32)
    if config["model_type"] == "baichuan":
        for layer in model.model.layers:
            attention, width = layer.self_attn, config["hidden_size"]
            attention.W_pack = torch.nn.Linear(width, 3 * width, bias=False)
            for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
                setattr(attention, name, Part(attention, part))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def opened(folder):
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] in AS_LLAMA:
        return as_llama(folder, config)
    # The eager attention of Falcon counts distances twice: in its mask, and again on the scores.
    attention = "sdpa" if config.get("alibi") else "eager"
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention, dtype=torch.float32).eval()


def distances(config, ids):
    """For the Llama class: no rotary positions, and penalties on distance in the mask instead."""
    rows, length = ids.shape
    slopes = build_alibi_tensor(torch.ones_like(ids), config["num_attention_heads"], torch.float32)
    mask = slopes.reshape(rows, config["num_attention_heads"], 1, length)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    mask = mask.expand(-1, -1, length, -1).masked_fill(later, torch.finfo(torch.float32).min)
    return {"attention_mask": mask, "position_ids": torch.zeros_like(ids)}


def logits(model, ids, more):
    with torch.no_grad():
        return model(input_ids=ids, **more).logits.float()


failed = 0
for case in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    expected = json.loads((case / "expected.json").read_text())
    ids = torch.tensor(expected["ids"])
    config = json.loads((case / "base" / "config.json").read_text())
    more = distances(config, ids) if "model_max_length" in config else {}
    base = opened(case / "base")
    before = logits(base, ids, more)
    want = torch.tensor(expected["logits"]).reshape(before.shape)
    learned = (before - want).abs().max().item()
    adapter = PeftModel.from_pretrained(base, case / "adapter").eval()
    adapted = (logits(adapter, ids, more) - want).abs().max().item()
    merged = (logits(opened(case / "merged"), ids, more) - want).abs().max().item()
    # Without a change by the adapter nothing would be compared.
    good = max(adapted, merged) < TOLERANCE and learned > 0.05
    failed += not good
    print(f"   {case.name:<14} adapter {adapted:.1e}  merged {merged:.1e}  (learned {learned:.2f})  {'' if good else 'DIFFERS'}")
if failed:
    sys.exit(f"make: {failed} of the files are read in another way by PEFT or transformers")
