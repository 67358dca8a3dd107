# look ROOT RELEASES LINK: what is in the root of a site, and what is in the way of changing it, as records. Changes nothing.
root=$1 releases=$2 link=$3
if ! [ -d "$root" ]; then
	record noroot "$(ls -ld -- "$root" 2>&1)"
	exit 0
fi
cd -P -- "$root" || exit 86
record root "$(pwd -P)"
if [ -L "./$link" ]; then
	record link "$(readlink -- "./$link")" "$(readlink -f -- "./$link" 2>/dev/null)"
elif [ -e "./$link" ]; then
	record hindered "$root/$link is no symbolic link"
fi
[ ! -f ./.astern.lock ] || [ -L ./.astern.lock ] || record lock "$(head -n 1 ./.astern.lock | head -c 600)"
folders() { # TAG FOLDER: what is in a folder of the root
	[ -e "./$2" ] || [ -L "./$2" ] || return 0
	if [ -L "./$2" ] || ! [ -d "./$2" ]; then
		record hindered "$root/$2 is no folder, and astern works nowhere but below $root"
		return 0
	fi
	(
		cd -P -- "./$2" || exit 0
		for name in *; do
			if [ -L "$name" ]; then
				record other "$2/$name" "a symbolic link"
			elif [ -d "$name" ]; then
				record "$1" "$name" "$(stat -c %Y -- "$name" 2>/dev/null || stat -f %m -- "$name")"
			elif [ -f "$name" ]; then
				record "$1-file" "$name"
			fi
		done
	)
	[ -r "./$2" ] && [ -x "./$2" ] || record hindered "$root/$2 can't be read"
}
folders release "$releases"
folders view served
folders manifest manifests
for folder in . served manifests; do
	[ ! -d "./$folder" ] || [ -w "./$folder" ] || record hindered "the login may not write into $root/$folder"
done
[ ! -e ./.astern.lock ] || [ -w ./.astern.lock ] || record hindered "the login may not write $root/.astern.lock"
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || record hindered "neither flock (util-linux) nor perl is installed"
record room "$(df -Pk -- . 2>/dev/null | awk 'NR == 2 { print $4 }')"
exit 0
