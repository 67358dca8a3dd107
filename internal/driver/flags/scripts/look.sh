# look DIR NAME MOST COPIES: shows the flag file, the states of it that are kept, and what is in the way of changing it.
# Files larger than MOST bytes are not read, and no more than COPIES of the states, the newest.
dir=$1 name=$2 most=$3 copies=$4

# show TAG FILE NAME prints what a path is, and its content in base64.
show() {
	if [ -L "$2" ]; then
		record "$1" "$3" link "$(readlink -- "$2")"
	elif [ ! -e "$2" ]; then
		record "$1" "$3" absent
	elif [ ! -f "$2" ]; then
		record "$1" "$3" special
	elif [ ! -r "$2" ]; then
		record "$1" "$3" denied
	elif [ "$(wc -c <"$2")" -gt "$most" ]; then
		record "$1" "$3" large
	else
		record "$1" "$3" "file $(date -r "$2" +%s 2>/dev/null)" "$(base64 <"$2")"
	fi
}

command -v base64 >/dev/null 2>&1 || { echo "base64 is not installed" >&2; exit 80; }
if ! cd -P -- "$dir" 2>/dev/null; then
	if [ -e "$dir" ]; then record file "$name" denied; else record file "$name" absent; fi
	exit 0
fi
show file "./$name" "$name"
kept=./$name.astern
[ -w . ] || record hindered "the folder $dir can't be written to"
if [ -f "./$name" ] && [ ! -L "./$name" ]; then
	uid=$(id -u)
	[ "$uid" = 0 ] || [ "$(ls -ldn -- "./$name" | awk '{ print $3 }')" = "$uid" ] ||
		record hindered "the file belongs to another login, which a change could not keep"
fi
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || record hindered "neither flock (util-linux) nor perl is installed"
if [ -L "$kept" ]; then
	record hindered "$dir/$name.astern is a symbolic link, and astern writes nowhere but beside the file"
elif [ -d "$kept" ]; then
	[ -w "$kept" ] || record hindered "$dir/$name.astern can't be written to"
	[ ! -f "$kept/lock" ] || [ -L "$kept/lock" ] || record lock "$(head -n 1 "$kept/lock" | head -c 600)"
	total=0
	cd -P -- "$kept" || exit 86
	ls -t -- . | grep -E '^[0-9a-f]{64}\.json$' | head -n "$copies" | while read -r file; do
		total=$((total + $(wc -c <"./$file")))
		if [ "$total" -gt "$((8 * most))" ]; then record kept "$file" large; else show kept "./$file" "$file"; fi
	done
elif [ -e "$kept" ]; then
	record hindered "$dir/$name.astern is no folder"
fi
