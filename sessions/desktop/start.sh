#!/bin/sh
# Starts a desktop: X server, size, window manager, applications. Runs inside the sandbox as the session's user, and
# ends when what the session is about ends; the sandbox's init then takes everything else along.
#
#   start.sh REPORT KIND WIDTH HEIGHT MAX_WIDTH MAX_HEIGHT gl|no-gl DISPLAY|any [COMMAND [ARGUMENT]...]
#
# Tells the host agent in REPORT: "stage NAME", "display N", "failed REASON TEXT", "ended REASON TEXT".

report_file=$1 kind=$2 width=$3 height=$4 max_width=$5 max_height=$6 gl=$7 display=$8
shift 8
here=$(dirname "$0")
events=$XDG_RUNTIME_DIR/.events
ready=$XDG_RUNTIME_DIR/.ready

trap : TERM  # children get the default action; this script waits for them
umask 077

report() { printf '%s\n' "$*" >>"$report_file"; }

# Prints the time since boot in hundredths of a second.
now() {
    read -r uptime _ </proc/uptime
    printf '%s' "${uptime%.*}${uptime#*.}"
}

# Runs a command in the background and sends "NAME STATUS" to the main loop when it ends.
watch() {
    name=$1
    shift
    ("$@" </dev/null; status=$?; echo "$name $status" >"$events") &
}

start_display() {
    set -- -screen 0 "${max_width}x${max_height}x24" -noreset -nolisten tcp -nolisten local \
        -auth "$XAUTHORITY" -dpi 96 -s 0
    [ "$gl" = gl ] || set -- "$@" -extension GLX
    [ "$display" = any ] || set -- ":$display" "$@"
    (Xvfb "$@" -displayfd 4 4>"$ready" </dev/null; status=$?; echo "display $status" >"$events") &
    read -r number <"$ready"
}

# Gives the screen its wanted size. The server was started at the largest it may ever have.
set_size() {
    [ "$width $height" = "$max_width $max_height" ] && return
    mode=${width}x${height}
    xrandr --newmode "$mode" 0 "$width" "$width" "$width" "$width" "$height" "$height" "$height" "$height" &&
        xrandr --addmode screen "$mode" && xrandr --output screen --mode "$mode"
}

prepare() {
    export XDG_CONFIG_DIRS="$here/xdg:/etc/xdg" XDG_DATA_DIRS="$here/share:/usr/local/share:/usr/share"
    export GTK2_RC_FILES="$here/xdg/gtk-2.0/gtkrc" NO_AT_BRIDGE=1
    mkdir -p "$HOME/Documents" "$HOME/Downloads" "$HOME/Pictures"
    cp -r "$here/skeleton/." "$HOME/" 2>/dev/null
    xrdb -nocpp -load "$here/Xresources" 2>/dev/null
    xsetroot -cursor_name left_ptr 2>/dev/null
    hsetroot -cover "$here/wallpaper.jpg" >/dev/null 2>&1 || xsetroot -solid '#1d2b3a' 2>/dev/null
    if command -v dbus-daemon >/dev/null; then
        bus="unix:path=$XDG_RUNTIME_DIR/bus"
        dbus-daemon --session --address="$bus" --fork --nopidfile && export DBUS_SESSION_BUS_ADDRESS="$bus"
    fi
}

# Waits until a window manager has taken over, at most two seconds: an application must not be seen before.
await_window_manager() {
    tries=0
    until xprop -root _NET_SUPPORTING_WM_CHECK 2>/dev/null | grep -q 0x || [ "$tries" -ge 80 ]; do
        sleep 0.025
        tries=$((tries + 1))
    done
}

keep_panel() {
    while tint2 -c "$here/tint2/tint2rc" >/dev/null 2>&1; [ $? -lt 128 ]; do sleep 1; done
}

report stage display
mkfifo "$events" "$ready"
if ! command -v Xvfb >/dev/null; then
    report failed no-display "Xvfb is not installed on this host (Debian package xvfb)."
    exit 1
fi
if ! start_display; then
    report failed no-display "The X server did not start."
    exit 1
fi
export DISPLAY=":$number"
if ! set_size; then
    report failed no-display "The X server does not take the size ${width}x${height}."
    exit 1
fi
report display "$number"
report stage desktop

if [ $# -gt 0 ] && ! command -v "$1" >/dev/null; then
    report failed command-not-found "There is no program called '$1' on this host. Install it or correct the template."
    exit 1
fi
if [ $# -eq 0 ] && [ "$kind" != desktop ]; then
    report failed command-not-found "The template names no command, and only a desktop can do without."
    exit 1
fi

cd "$HOME" || exit 1
prepare
case $kind in
desktop)
    watch desktop openbox --config-file "$here/openbox/desktop.xml"
    await_window_manager
    if command -v tint2 >/dev/null; then keep_panel & fi
    if [ $# -gt 0 ]; then "$@" </dev/null & fi
    ;;
application)
    openbox --config-file "$here/openbox/application.xml" </dev/null &
    await_window_manager
    watch application "$@"
    ;;
session)
    watch application "$@"
    ;;
*)
    report failed desktop-exited "There is no kind of session called '$kind'."
    exit 1
    ;;
esac
began=$(now)
report stage stream

while :; do
    read -r what status <"$events" || continue  # a signal, or a writer that closed early
    case $what in
    display)
        report failed desktop-exited "The X server ended unexpectedly (status $status)."
        ;;
    application)
        if [ $(($(now) - began)) -lt 200 ]; then
            report failed command-died "'$1' ended at once (status $status)."
        else
            report ended desktop-exited "The application was closed."
        fi
        ;;
    desktop)
        report ended desktop-exited "The user logged out of the desktop."
        ;;
    esac
    exit 0
done
