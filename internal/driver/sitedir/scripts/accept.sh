# accept ROOT FENCE CONTENT LINK INTO NAME TOKEN: gives the folder that was filled its name. One of that name is replaced,
# unless the link leads to it.
root=$1 fence=$2 content=$3 link=$4 into=$5 name=$6 token=$7
guard "$root" "$fence" "$content"
enter "$root" "$into"
[ -d "./.partial-$token" ] && ! [ -L "./.partial-$token" ] || exit 84
if [ -e "./$name" ] || [ -L "./$name" ]; then
	[ "$(readlink -f -- "$root/$link" 2>/dev/null)" != "$(pwd -P)/$name" ] || exit 82
	rm -rf -- "./$name" || exit 86
fi
touch -- "./.partial-$token"
sync -f . 2>/dev/null || sync
rename "./.partial-$token" "./$name" || exit 87
flush .
