# able ROOT [in NAME LINK PORT | run WHAT COMMAND | unit user|system UNIT]…: what would hinder a swap or a restart, as
# records "broken NAME WHY" and "risk NAME WHY", and "listens NAME" where something listens on the instance's port. NAME
# is that of the last "in", "" for the whole root. Changes nothing, takes no lock and runs none of the user's commands.
root=$1 name=
shift
[ -d "$root" ] || exit 0
enter() { [ -d "$1" ] && [ -w "$1" ] && [ -x "$1" ]; }
may_write() {
	if [ -e "$1" ]; then
		{ [ -f "$1" ] && [ -r "$1" ] && [ -w "$1" ]; } || record broken "$name" "the login may not read and write $1"
	else
		enter "${1%/*}" || record broken "$name" "the login may not write into ${1%/*}"
	fi
}
runs() { # WHAT COMMAND
	case $2 in
	/*) file=$2 ;;
	*/*) file=$root/${2#./} ;;
	*)
		command -v "$2" >/dev/null 2>&1 || record broken "$name" "there is no $2 to $1 it with"
		return
		;;
	esac
	if ! [ -e "$file" ]; then
		record broken "$name" "there is no $file to $1 it with"
	elif ! { [ -f "$file" ] && [ -x "$file" ]; }; then
		record broken "$name" "the login may not execute $file to $1 it with"
	elif [ -r "$file" ]; then
		shebang "$1" "$file" "$(head -c 256 -- "$file" 2>/dev/null | tr '\000' '\n' | head -n 1)"
	fi
}
shebang() { # WHAT FILE LINE
	case $3 in '#!'*) ;; *) return ;; esac
	what=$1 file=$2
	set -f
	set -- ${3#??}
	set +f
	if ! [ -x "${1-}" ]; then
		record broken "$name" "there is no ${1-} to run $file by, which is to $what it"
	elif [ "${1##*/}" = env ] && case ${2-} in '' | -* | *=*) false ;; esac && ! command -v "$2" >/dev/null 2>&1; then
		record broken "$name" "there is no $2 to run $file by, which is to $what it"
	fi
}
port() { # NUMBER
	sed 's/^ *//' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi "^[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F]*:0000 0A"
}
may_write "$root/.astern.lock"
may_write "$root/.astern-history.jsonl"
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 ||
	record broken "" "neither flock (util-linux) nor perl is installed"
if held "$root/.astern.lock"; then
	record risk "" "the lock of $root is held"
fi
if space=$(stat -f -c '%a %S %d %c' -- "$root" 2>/dev/null); then
	record space "" "$space"
elif space=$(df -Pk -- "$root" 2>/dev/null | awk 'NR == 2 { print $4, 1024, 0, 0 }'); then
	record space "" "$space"
fi
while [ $# -gt 0 ]; do
	case $1 in
	in)
		name=$2
		enter "${3%/*}" || record broken "$name" "the login may not write into ${3%/*}"
		if [ -e "$root/.astern" ]; then
			may_write "$root/.astern/$name.run"
			may_write "$root/.astern/$name.out"
		else
			enter "$root" || record broken "$name" "the login may not write into $root"
		fi
		if held "$root/.astern/$name.run"; then record risk "$name" "one of its commands is still running"; fi
		if [ -n "$4" ] && port "$4"; then record listens "$name" "$4"; fi
		shift 4
		;;
	run)
		runs "$2" "$3"
		shift 3
		;;
	unit)
		case $2 in
		user) state=$(systemctl --user show -p LoadState "$3" 2>/dev/null) ;;
		*) state=$(systemctl show -p LoadState "$3" 2>/dev/null) ;;
		esac
		case ${state#LoadState=} in
		not-found | masked | bad-setting | error) record broken "$name" "systemd can't start $3: it is ${state#LoadState=}" ;;
		esac
		shift 3
		;;
	*) exit 64 ;;
	esac
done
exit 0
