# Phases of a script: each is announced, timed, and kept, so that the last thing printed is a table of where the time
# went and what failed. Sourced by tests/run and .ci/run; a phase that fails does not stop the ones after it.

phase_rows=()
phase_failed=0

# phase NAME COMMAND…: runs the command, and returns its status.
phase() {
    local name=$1 began status=0
    shift
    printf '\n── %s\n' "$name"
    began=$EPOCHREALTIME
    "$@" || status=$?
    phase_record "$name" "$began" "$status"
    return "$status"
}

# phase_record NAME BEGAN STATUS: keeps a row; a status other than 0 makes the script red.
phase_record() {
    local ms=$(((${EPOCHREALTIME/[.,]/} - ${2/[.,]/}) / 1000)) said=ok
    if (($3 != 0)); then
        said="failed ($3)"
        phase_failed=1
    fi
    phase_rows+=("$(printf '%-34s %6d.%d s  %s' "$1" $((ms / 1000)) $((ms % 1000 / 100)) "$said")")
}

# phase_table: prints the rows.
phase_table() {
    printf '\n── time\n'
    printf '%s\n' "${phase_rows[@]}"
}
