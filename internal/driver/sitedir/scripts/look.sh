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
folders() { # TAG FOLDER OTHERWISE: what is in a folder of the root, and the tag of what is said where it is none
	[ -e "./$2" ] || [ -L "./$2" ] || return 0
	if [ -L "./$2" ] || ! [ -d "./$2" ]; then
		record "$3" "$root/$2 is no folder, and astern works nowhere but below $root"
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
}
folders release "$releases" hindered
folders view served hindered
folders manifest manifests closed
[ ! -d "./$releases" ] || { [ -r "./$releases" ] && [ -x "./$releases" ]; } || record unlisted "$root/$releases can't be listed"
enters() { [ ! -d "$1" ] || { [ -w "$1" ] && [ -x "$1" ]; }; }
for folder in . served; do
	enters "./$folder" || record hindered "the login may not write into $root/$folder"
done
enters ./manifests || record closed "the login may not write into $root/manifests"
if [ -L ./.astern.lock ] || { [ -e ./.astern.lock ] && ! [ -f ./.astern.lock ]; }; then
	record hindered "$root/.astern.lock is no plain file"
elif [ -e ./.astern.lock ] && ! { [ -r ./.astern.lock ] && [ -w ./.astern.lock ]; }; then
	record hindered "the login may not read and write $root/.astern.lock"
elif held ./.astern.lock; then
	record held "the lock of $root is held"
fi
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || record hindered "neither flock (util-linux) nor perl is installed"
disk=.
[ ! -d ./served ] || [ -L ./served ] || disk=./served
record room "$(df -Pk -- "$disk" 2>/dev/null | awk 'NR == 2 { print $4 }')" "$(stat -f -c '%d %c' -- "$disk" 2>/dev/null)"
exit 0
