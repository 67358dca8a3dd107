# hash FOLDER: the content hash of a release, after records of what speaks against it. Changes nothing.
# The hash is that of the sorted lines: "d PATH", "l PATH -> TARGET", "f HASH  PATH", "x HASH  PATH" (executable).
folder=$1
[ -d "$folder" ] || exit 84
cd -- "$folder" || exit 85
odd=$(find . \( -name '*
*' -o -name '*\\*' \) -print | head -n 1)
[ -z "$odd" ] || record oddname "$odd"
odd=$(find . ! -type f ! -type d ! -type l -print | head -n 1)
[ -z "$odd" ] || record special "$odd"
record folder "$(pwd -P)"
find . -type l -exec sh -c '
	for path; do
		printf "link\000%s\000%s\000%s\000" "$path" "$(readlink -- "$path")" "$(readlink -f -- "$path")"
	done' sh {} +
if command -v sha256sum >/dev/null 2>&1; then tool='sha256sum'; else tool='shasum -a 256'; fi
sum=$({
	find . -type d | sed 's/^/d /'
	find . -type l -exec sh -c 'for path; do printf "l %s -> %s\n" "$path" "$(readlink -- "$path")"; done' sh {} +
	find . -type f ! -perm -100 -exec $tool {} + | sed 's/^/f /'
	find . -type f -perm -100 -exec $tool {} + | sed 's/^/x /'
} | sort | $tool)
record hash "${sum%% *}"
