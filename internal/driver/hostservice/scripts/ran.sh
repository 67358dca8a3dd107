# ran ROOT NAME: one record of the last command of an instance: inflight|over TOKEN CODE, or never; then one with the end
# of its output. CODE is "started" when the command never came to its end. Changes nothing.
run=$1/.astern/$2.run out=$1/.astern/$2.out
if ! [ -r "$run" ]; then record never; exit 0; fi
exec 9<"$run"
state=over
try_lock 9 || state=inflight
token= code=
read -r token code <"$run"
record "$state" "$token" "$code"
if [ -r "$out" ]; then record output "$(tail -c 4000 -- "$out" | tr -d '\000' | tail -n 5)"; fi
