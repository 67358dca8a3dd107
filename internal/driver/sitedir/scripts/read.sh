# read FOLDER MANIFEST: every file of a folder with its size and its digest, and the manifest beside it ("" for none), as
# records. A folder that is none is exit code 84. Changes nothing, and follows no link.
if [ -z "$2" ] || [ -L "${2%/*}" ]; then
	: # none is wanted, or what is there is not astern's
elif [ -f "$2" ] && [ -r "$2" ] && ! [ -L "$2" ]; then
	record manifest "$(head -c 33554432 -- "$2" | tr -d '\000')"
elif [ -e "$2" ] || [ -L "$2" ]; then
	record manifest-odd "$2"
fi
[ -d "$1" ] && ! [ -L "$1" ] || exit 84
cd -P -- "$1" || exit 85
if command -v sha256sum >/dev/null 2>&1; then tool='sha256sum'; else tool='shasum -a 256'; fi
cr=$(printf '\r')
odd=$(find . \( -name '*
*' -o -name '*\\*' -o -name "*$cr*" \) -print | head -n 1)
[ -z "$odd" ] || record odd "$odd"
odd=$(find . ! -type f ! -type d -print | head -n 1)
[ -z "$odd" ] || record special "$odd"
record sizes "$(find . -type f -exec wc -c {} +)"
record digests "$(find . -type f -exec $tool {} +)"
