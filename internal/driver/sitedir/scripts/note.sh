# note ROOT FENCE CONTENT NAME TOKEN: writes the manifest on the standard input beside the releases. One of that name that
# says another thing is kept (82).
root=$1 fence=$2 content=$3 name=$4 token=$5
guard "$root" "$fence" "$content"
enter "$root" manifests make
plain "./$name"
rm -f -- ./.partial-*
trap 'rm -f -- "./.partial-$token"' EXIT
cat >"./.partial-$token" || exit 86
if [ -e "./$name" ]; then
	[ -f "./$name" ] && cmp -s "./.partial-$token" "./$name" || exit 82
	exit 0
fi
flush "./.partial-$token"
rename "./.partial-$token" "./$name" || exit 86
flush .
