# Keeps one database server for one test process. Reads verbs, one a line, and answers each with one line. At the end
# of the input, which also comes when the test process is killed, it kills the server and removes its folders.
# Arguments: KIND GARBAGE LOG COMMAND… ; KIND: child (COMMAND is the server) or detached (COMMAND starts it and
# returns; SERVER_PID_FILE then names the server). GARBAGE: folders and files to remove, one a line.
kind=$1 garbage=$2 log=$3
shift 3
pid=

# Whoever asked may be gone before the answer. What is started does not inherit this.
trap : PIPE

launch() {
  if [ "$kind" = child ]; then
    "$@" </dev/null >>"$log" 2>&1 &
    pid=$!
  else
    rm -f "$SERVER_PID_FILE"
    "$@" </dev/null >>"$log" 2>&1 || return 1
    await_pid
  fi
}

# The tool returns when the port is open, which is before the server has written who it is.
await_pid() {
  tries=3000
  until pid=$(cat "$SERVER_PID_FILE" 2>/dev/null) && [ -n "$pid" ]; do
    [ "$tries" -gt 0 ] || return 1
    tries=$((tries - 1))
    sleep 0.02
  done
}

# A zombie whose parent has not looked yet is gone, too.
gone() {
  [ -z "$pid" ] || ! kill -0 "$pid" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

await_end() {
  tries=${1:-0}
  until gone; do
    [ "$tries" -gt 0 ] || return 1
    tries=$((tries - 1))
    sleep 0.02
  done
  [ "$kind" != child ] || wait "$pid" 2>/dev/null
  [ -z "$pid" ] || rm -f "/dev/shm/faketime_shm_$pid" "/dev/shm/sem.faketime_sem_$pid"
  pid=
}

end_now() {
  gone || kill -9 "$pid"
  await_end 3000
}

while read -r verb; do
  case $verb in
    start) gone && launch "$@" ;;
    alive) ! gone ;;
    end) await_end 3000 ;;
    kill) end_now ;;
  esac && echo yes || echo no
done
end_now
printf '%s\n' "$garbage" | while IFS= read -r path; do rm -rf -- "$path"; done
