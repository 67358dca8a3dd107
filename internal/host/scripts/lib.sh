# Shared by the scripts of all drivers: they are run by sh with every value as an argument of its own, on Linux and on macOS.
set -u
LC_ALL=C
export LC_ALL

# record prints one record of four fields, each ended by a NUL byte.
record() { printf '%s\000%s\000%s\000%s\000' "$1" "${2-}" "${3-}" "${4-}"; }

# try_lock FD takes an exclusive lock on an open file, or fails at once. The lock ends with the last holder of the file.
try_lock() {
	if command -v flock >/dev/null 2>&1; then
		flock -x -n "$1"
	elif command -v perl >/dev/null 2>&1; then
		perl -e 'open(my $f, ">&=", $ARGV[0]) or exit 2; exit(flock($f, 6) ? 0 : 1)' "$1"
	else
		echo "neither flock (util-linux) nor perl is installed" >&2
		exit 80
	fi
}

# held FILE reports whether somebody has a lock on it. It is read where the system lists them, for a lock that is tried is in
# the way. The list comes a page at a time, and a lock that is released between two pages can hide another: so it is read three times.
held() {
	[ -e "$1" ] && [ -r /proc/locks ] || return 1
	where=$(stat -L -c '%D %i' -- "$1" 2>/dev/null) || return 1
	device=$((0x${where% *})) # numbers of inodes repeat on other disks
	grep -q "FLOCK .* $(printf '%02x:%02x:%s' $((device >> 8 & 4095)) $((device & 255 | device >> 12 & 1048320)) "${where#* }") " /proc/locks /proc/locks /proc/locks
}

# wait_lock FD waits for about ten seconds: in the system's queue, for many may wait, and who looks again every now and then
# leaves the lock unused meanwhile. A flock that can't wait for a time (BusyBox) is asked again and again.
wait_lock() {
	try_lock "$1" && return
	if command -v flock >/dev/null 2>&1; then
		flock -x -w 10 -E 75 "$1" 2>/dev/null
		case $? in
		0) return 0 ;;
		75) return 1 ;;
		esac
	else
		perl -e 'open(my $f, ">&=", $ARGV[0]) or exit 2; alarm 10; exit(flock($f, 2) ? 0 : 1)' "$1"
		return
	fi
	tries=0
	until try_lock "$1"; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.1 2>/dev/null || sleep 1
	done
}

# folder NAME makes a folder where there is none. Somebody else may make it at the same moment.
folder() { [ -d "$1" ] || mkdir -- "$1" 2>/dev/null || [ -d "$1" ] || mkdir -- "$1"; }

# enter ROOT FOLDER [make] goes into a folder below the root, made if asked for, and stays there, wherever its path leads
# from then on: whoever exchanges a folder for a link can't have anything done elsewhere by names of this folder. A way that
# leads out of the root is refused (90).
enter() {
	cd -P -- "$1" || exit 86
	base=$(pwd -P) way=${2#"$1"}
	base=${base%/}
	while [ -n "$way" ]; do
		way=${way#/}
		part=${way%%/*}
		way=${way#"$part"}
		[ -n "$part" ] || continue
		[ -z "${3-}" ] || folder "./$part" || exit 86
		cd -P -- "./$part" || exit 86
		case $(pwd -P) in
		"$base"/*) ;;
		*)
			echo "$2 leads out of $1" >&2
			exit 90
			;;
		esac
	done
}

# rename FROM TO gives a file or folder the name of another, which it never goes into. A mv that can't (macOS, old BusyBox) has done
# nothing.
rename() {
	mv -T -- "$1" "$2" 2>/dev/null && return
	if command -v perl >/dev/null 2>&1 && ! mv --version >/dev/null 2>&1; then
		perl -e 'rename($ARGV[0], $ARGV[1]) or die "rename: $!\n"' "$1" "$2"
	else
		mv -T -- "$1" "$2"
	fi
}

# plain FILE refuses a link where a file of astern's own should be.
plain() {
	if [ -L "$1" ]; then
		echo "$1 is a symbolic link" >&2
		exit 90
	fi
}

# opened ROOT FD NAME refuses what was opened when it is not the file of that name in the root: a link may have stood there
# for the moment between the look and the opening. Only where the system tells what is open.
opened() {
	[ -e "/proc/self/fd/$2" ] || return 0
	[ "${topof-}" = "$PWD:$1" ] || { top=$(cd -P -- "$1" && pwd -P) && topof=$PWD:$1; }
	if [ "$(readlink "/proc/self/fd/$2")" != "${top%/}/$3" ]; then
		echo "$1/$3 was exchanged" >&2
		exit 90
	fi
}

# take_lock ROOT takes the lock of the release root on file descriptor 8. From then on lockfile is what is open, wherever
# its name may lead.
take_lock() { lock_file "$1" "$1/.astern.lock" .astern.lock; }

# take_lock_of FOLDER NAME takes the lock of a file of the folder, in which we are. It lies in NAME.astern, which is made, and
# which is kept from then on as what is open, wherever its name may lead.
take_lock_of() {
	kept=./$2.astern
	plain "$kept"
	folder "$kept" || exit 86
	exec 7<"$kept" || exit 86
	opened "$1" 7 "$2.astern"
	[ -e /proc/self/fd/7 ] && kept=/proc/self/fd/7
	lock_file "$1" "$kept/lock" "$2.astern/lock"
}

# lock_file ROOT FILE NAME takes the lock of the file, which has that name below the root.
lock_file() {
	lockfile=$2
	if [ -L "$lockfile" ]; then
		echo "$1/$3 is a symbolic link" >&2
		exit 90
	fi
	if [ -e "$lockfile" ] && ! [ -f "$lockfile" ]; then # such as a FIFO, which holds up whoever reads it
		echo "$1/$3 is no file" >&2
		exit 90
	fi
	if [ -f "$lockfile" ] && ! [ -w "$lockfile" ]; then
		echo "$1/$3 belongs to $(stat -c %U -- "$lockfile" 2>/dev/null || stat -f %Su -- "$lockfile"), and $(id -un) may not write it" >&2
		exit 91
	fi
	exec 8<>"$lockfile" || exit 86
	opened "$1" 8 "$3"
	[ -e /proc/self/fd/8 ] && lockfile=/proc/self/fd/8
	wait_lock 8 || { head -n 1 "$lockfile" >&2; exit 83; }
}

# take_place FOLDER NAME takes the lock of the folder, or that of its file of that name. There is none where there is no folder.
take_place() {
	[ -d "$1" ] || return 1
	if [ -z "$2" ]; then
		take_lock "$1"
	else
		cd -P -- "$1" || exit 86
		take_lock_of "$1" "$2"
	fi
}

# owner_in LINE sets said to the owner that a line of a lock file names, "" for none.
owner_in() {
	said=
	case $1 in
	*'"owner":"'*)
		said=${1##*\"owner\":\"}
		said=${said%%\"*}
		;;
	esac
}

# noted reads the lock file: claimed is its first line, there the fence in it and holder the owner, "" where there is none.
noted() {
	claimed= there=
	read -r claimed <"$lockfile" 2>/dev/null || : # an empty file has no line
	case $claimed in
	*'"fence":'[0-9]*)
		there=${claimed##*\"fence\":}
		there=${there%%[!0-9]*}
		;;
	esac
	owner_in "$claimed"
	holder=$said
}

# overtaken FENCE OWNER reports whether another execution was here: one with a newer fence, what is no number counts as newer, or
# one of another owner, whatever its fence: state folders count for themselves, and whoever may go over a claim has claimed.
overtaken() {
	noted
	[ "${there:-0}" -le "$1" ] || return 0
	[ -n "$2" ] && [ -n "$holder" ] && [ "$holder" != "$2" ]
}

# guard ROOT FENCE CONTENT takes the lock and refuses (81) when another execution was here. Where ours was with an older fence, or
# nobody, it notes ours: one line, padded so that it overwrites the last one in place. A claim under our fence says more and stays.
guard() {
	take_lock "$1"
	pass "$2" "$3"
	note "$2" "$3"
}

# pass FENCE CONTENT refuses when another execution was here. From then on ours is the owner in our line.
pass() {
	owner_in "$2"
	ours=$said
	if overtaken "$1" "$ours"; then
		head -n 1 "$lockfile" >&2
		exit 81
	fi
}

# note FENCE CONTENT notes ours where an older fence was here.
note() { [ "${there:-0}" -eq "$1" ] || printf '%-511s\n' "$2" 1<>"$lockfile" || exit 86; }

# flush FILE… writes files or folders through to the disk.
flush() { sync "$@" 2>/dev/null || sync; }
