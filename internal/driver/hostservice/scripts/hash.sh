# hash FOLDER…: for each folder a record "at FOLDER", those of its content, and "end CODE TROUBLE": 0 and no trouble when
# it was read in full. A folder that can't be read hides no other. Changes nothing.
# The hash is that of the sorted lines: "d PATH", "l PATH -> TARGET", "f HASH  PATH", "x HASH  PATH" (executable).
if command -v sha256sum >/dev/null 2>&1; then tool='sha256sum'; else tool='shasum -a 256'; fi
cr=$(printf '\r')
content() {
	[ -d "$1" ] || exit 84
	cd -- "$1" || exit 85
	odd=$(find . \( -name '*
*' -o -name '*\\*' -o -name "*$cr*" \) -print | head -n 1)
	[ -z "$odd" ] || record oddname "$odd"
	odd=$(find . ! -type f ! -type d ! -type l -print | head -n 1)
	[ -z "$odd" ] || record special "$odd"
	record folder "$(pwd -P)"
	find . -type l -exec sh -c '
		for path; do
			printf "link\000%s\000%s\000%s\000" "$path" "$(readlink -- "$path")" "$(readlink -f -- "$path")"
		done' sh {} +
	sum=$({
		find . -type d | sed 's/^/d /'
		find . -type l -exec sh -c 'for path; do printf "l %s -> %s\n" "$path" "$(readlink -- "$path")"; done' sh {} +
		find . -type f ! -perm -100 -exec $tool {} + | sed 's/^/f /'
		find . -type f -perm -100 -exec $tool {} + | sed 's/^/x /'
	} | sort | $tool)
	record hash "${sum%% *}"
}
exec 3>&1
for folder; do
	record at "$folder"
	trouble=$(content "$folder" 2>&1 >&3)
	record end "$?" "$trouble"
done
exit 0
