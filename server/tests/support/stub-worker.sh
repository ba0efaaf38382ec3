case "$1" in
import|create) case "$2" in *hanging*) mkdir -p "$3.tmp"; echo half > "$3.tmp/model.gguf"; echo $$ > "$2/pid"; exec sleep 600;; esac
d="$3"; [ "$1" = create ] && d="$2"; mkdir -p "$d"; echo '{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":1,"context_length":1,"digest":"d","has_chat_template":true,"source":"scratch"}';;
devices) echo '["CPU"]';;
speed) echo 1e11;;
generate) while read -r l; do
r=$(printf '%s' "$l" | sed -n 's/.*"request":\([0-9]*\).*/\1/p')
case "$l" in
*'"command":"load"'*) m=$(printf '%s' "$l" | sed 's/.*"model":"\([^"]*\)".*/\1/'); echo '{"request":0,"delta":{"type":"ready","digest":"d","prompt_tokens":0}}';;
*'"command":"generate"'*) printf '%s\n' "$l" >> "$m/asked"
echo "{\"request\":$r,\"delta\":{\"type\":\"ready\",\"digest\":\"d\",\"prompt_tokens\":1}}"
echo "{\"request\":$r,\"delta\":{\"type\":\"text\",\"text\":\"answer $(grep -c . "$m/asked")\"}}"
echo "{\"request\":$r,\"delta\":{\"type\":\"done\",\"tokens\":1,\"tokens_per_second\":1.0,\"reason\":\"stop\"}}";;
esac; done;;
train) f="$2/attempts/000$4/events.jsonl"; i=0
echo '{"seq":0,"at_ms":1,"what":{"kind":"started","from_step":0,"total_steps":99,"device":"cpu","trainable_params":1,"total_params":1,"train_rows":1,"eval_rows":0,"dropped_rows":0,"cut_rows":0,"worker":"x"}}' >> "$f"
while [ $i -lt 400 ]; do i=$((i+1)); echo "{\"seq\":$i,\"at_ms\":1,\"what\":{\"kind\":\"eval\",\"step\":$i,\"eval_loss\":1.0}}" >> "$f"
if [ -e "$2/control/stop" ]; then echo "{\"seq\":$((i+1)),\"at_ms\":1,\"what\":{\"kind\":\"stopped\",\"step\":$i}}" >> "$f"; exit 0; fi; sleep 0.1; done;;
esac
