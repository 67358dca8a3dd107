# change DIR NAME FENCE CONTENT FROM TO OLD NEW TOKEN: gives the file the content that follows on the standard input, when it
# still is what it was and no newer fence was here. The input is the OLD bytes that are expected, whose hash is FROM, and
# then the NEW ones, whose hash is TO. Both are kept. Every refusal comes before the file is touched.
# owner FILE prints who owns a file, and its mode.
owner() { ls -ldn -- "$1" | awk '{ print $1, $3, $4 }'; }

dir=$1 name=$2 fence=$3 content=$4 from=$5 to=$6 old=$7 new=$8 token=$9
cd -P -- "$dir" || exit 86
file=./$name
take_lock_of "$dir" "$name"
pass "$fence" "$content"
if [ -L "$file" ] || [ ! -f "$file" ]; then exit 85; fi

tmp=$kept/tmp-$token
trap 'rm -f -- "$tmp-in" "$tmp-old" "$tmp-new" "$tmp-file"' EXIT
rm -f -- "$kept"/tmp-* # under the lock: of commands that were stopped
cat >"$tmp-in" || exit 86
[ "$(wc -c <"$tmp-in")" -eq "$((old + new))" ] || { echo "the new content did not arrive whole" >&2; exit 86; }
head -c "$old" "$tmp-in" >"$tmp-old" && tail -c "+$((old + 1))" "$tmp-in" >"$tmp-new" || exit 86
if cmp -s "$file" "$tmp-new"; then echo already; exit 0; fi
cmp -s "$file" "$tmp-old" || exit 82

# The new file keeps mode and owner of the old one.
cp -p -- "$file" "$tmp-file" && cat "$tmp-new" >"$tmp-file" && cmp -s "$tmp-file" "$tmp-new" || exit 86
if [ "$(owner "$file")" != "$(owner "$tmp-file")" ]; then echo "its owner could not be kept" >&2; exit 92; fi

note "$fence" "$content"
touch -r "$file" "$tmp-old" 2>/dev/null
for one in "old $from" "new $to"; do
	into=$kept/${one#* }.json
	if [ -L "$into" ] || [ -d "$into" ]; then echo "$name.astern/${one#* }.json is no plain file" >&2; exit 90; fi
	cmp -s "$tmp-${one% *}" "$into" || rename "$tmp-${one% *}" "$into" || exit 86
done
flush "$tmp-file" "$kept/$from.json" "$kept/$to.json" "$kept" || exit 86
cmp -s "$file" "$kept/$from.json" || exit 82
rename "$tmp-file" "$file" || exit 86
flush .
echo changed
