# process pid FILE | status COMMAND… | unit user|system UNIT: one record: running IDENTITY, stopped WHY, starting WHY,
# or unknown WHY. Changes nothing. The identity is PID:START:BOOT, so that a process id that is used again differs. Before
# "running", where the system tells it: exe PATH, cwd PATH, and times START UPTIME NOW, in ticks, seconds and nanoseconds.
identity() {
	pid=$1
	case $pid in '' | *[!0-9]*) record unknown "\"$pid\" is no process id"; exit 0 ;; esac
	if [ -r /proc/self/stat ]; then
		line=$(cat "/proc/$pid/stat" 2>/dev/null) || { record stopped "no process $pid"; exit 0; }
		set -f
		set -- ${line##*) }
		state=$1
		# A process whose first thread has ended keeps its files and ports until the last one has: field 20 of
		# proc_pid_stat(5) counts them.
		if [ "$state" = Z ] && [ "${18}" -gt 1 ]; then state=S; fi
		case $state in Z | X | x) record stopped "process $pid has ended"; exit 0 ;; esac
		for what in exe cwd; do
			where=$(readlink "/proc/$pid/$what" 2>/dev/null) && record "$what" "$where"
		done
		read -r up _ </proc/uptime && record times "${20}" "$up" "$(date +%s%N)"
		record running "$pid:${20}:$(cat /proc/sys/kernel/random/boot_id)"
	else
		start=$(ps -o lstart= -p "$pid" 2>/dev/null | tr -s ' :' '--')
		[ -n "$start" ] || { record stopped "no process $pid"; exit 0; }
		record running "$pid:$start"
	fi
	exit 0
}
way=$1
shift
case $way in
pid)
	if ! [ -e "$1" ]; then record stopped "no pid file $1"; exit 0; fi
	pid=$(head -n 1 -- "$1" 2>&1) || { record unknown "$pid"; exit 0; }
	identity "$(printf '%s' "$pid" | tr -d '[:space:]')"
	;;
status)
	said=$({ "$@" 2>&1 8>&- 9>&- </dev/null; printf '\n%s' "$?"; } | tr -d '\000' | tail -c 65536)
	code=${said##*
}
	said=${said%
*}
	if [ "${#said}" -gt 65000 ]; then record unknown "the status command printed more than 64 kB"; exit 0; fi
	case $code in
	0)
		for word in $said; do case $word in *[!0-9]*) ;; *) identity "$word" ;; esac; done
		record unknown "the status command printed no process id: let it print that and nothing else, and exit 3 when stopped"
		;;
	3) record stopped "the status command says so" ;;
	*) record unknown "the status command ended with $code: $(printf '%s' "$said" | tail -n 1 | tail -c 1000)" ;;
	esac
	;;
unit)
	if [ "$1" = user ]; then set -- --user "$2"; else set -- "$2"; fi
	said=$(systemctl show -p MainPID -p ActiveState "$@" 2>&1) || { record unknown "systemctl: $said"; exit 0; }
	pid=$(printf '%s\n' "$said" | sed -n 's/^MainPID=//p')
	state=$(printf '%s\n' "$said" | sed -n 's/^ActiveState=//p')
	if [ "${pid:-0}" != 0 ]; then identity "$pid"; fi
	case $state in
	activating | reloading | deactivating) record starting "the unit is $state" ;;
	'') record unknown "systemctl told no state: $said" ;;
	*) record stopped "the unit is $state" ;;
	esac
	;;
esac
