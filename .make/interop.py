"""Adapters and merged models as Burnish writes them, opened with PEFT and transformers: the logits must agree."""
import json, sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()

TOLERANCE = 2e-4


def opened(folder):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


failed = 0
for case in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    expected = json.loads((case / "expected.json").read_text())
    ids = torch.tensor(expected["ids"])
    base = opened(case / "base")
    before = logits(base, ids)
    want = torch.tensor(expected["logits"]).reshape(before.shape)
    learned = (before - want).abs().max().item()
    adapted = (logits(PeftModel.from_pretrained(base, case / "adapter").eval(), ids) - want).abs().max().item()
    merged = (logits(opened(case / "merged"), ids) - want).abs().max().item()
    # Without a change by the adapter nothing would be compared.
    good = max(adapted, merged) < TOLERANCE and learned > 0.05
    failed += not good
    print(f"   {case.name:<14} adapter {adapted:.1e}  merged {merged:.1e}  (learned {learned:.2f})  {'' if good else 'DIFFERS'}")
if failed:
    sys.exit(f"make: {failed} of the files are read in another way by PEFT or transformers")
