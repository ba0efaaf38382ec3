"""Tokenizer folders as `around` writes them: AutoTokenizer must give the ids Burnish gives."""
import json, sys
from pathlib import Path

from transformers import AutoTokenizer

failed = tried = 0
for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    expected = json.loads((folder / "expected.json").read_text())
    got = AutoTokenizer.from_pretrained(folder)(expected["text"])["input_ids"]
    tried += 1
    if got != expected["ids"]:
        failed += 1
        print(f"   {folder.name:<24} {got}  DIFFERS from {expected['ids']}")
print(f"   {tried - failed} of {tried} tokenizers give the same ids")
if failed or not tried:
    sys.exit(f"make: {failed} of the tokenizers put something else around a text than transformers")
