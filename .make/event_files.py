"""The event files of a run, read by TensorBoard: every number of its log must be there once, and no other."""
import json, sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = Path(sys.argv[1])
PROGRESS = {"current_steps", "total_steps", "percentage", "elapsed_time", "remaining_time"}


def tag(name):
    return f"eval/{name[5:]}" if name.startswith("eval_") else f"train/{name}"


want = {}
log = [json.loads(line) for line in (run / "trainer_log.jsonl").read_text().splitlines()]
for line in log:
    for name, value in line.items():
        if name not in PROGRESS and value is not None:
            want.setdefault(tag(name), {})[line["current_steps"]] = value
results = json.loads((run / "train_results.json").read_text())
for name in ("train_loss", "train_runtime"):
    want[tag(name)] = {log[-1]["current_steps"]: results[name]}

events = EventAccumulator(str(run / "runs"), size_guidance={"scalars": 0}).Reload()
found = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
different = sorted(
    name
    for name in want.keys() | found.keys()
    if [step for step, _ in found.get(name, [])] != list(want.get(name, {}))
    or any(abs(value - want[name][step]) > 1e-6 * abs(value) for step, value in found[name])
)
files = len(list((run / "runs").iterdir()))
print(f"   {files} files, {len(found)} tags, {sum(map(len, found.values()))} numbers")
if different or files < 2:
    sys.exit(f"make: TensorBoard finds other numbers than the log holds: {', '.join(different)}")
