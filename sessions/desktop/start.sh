#!/bin/sh
# Starts a desktop: X server, size, window manager, applications. Runs inside the sandbox as the session's user, and
# ends when what the session is about ends; the sandbox's init then takes everything else along.
#
#   start.sh REPORT KIND WIDTH HEIGHT MAX_WIDTH MAX_HEIGHT gl|no-gl DISPLAY|any [COMMAND [ARGUMENT]...]
#
# Standard input may be an empty file in memory called stripedesk-screen, for the X server to draw into.
# From the environment: LANG, and STRIPEDESK_DPI, STRIPEDESK_LAYOUT, STRIPEDESK_VARIANT, which programs do not see.
# Tells the host agent in REPORT: "stage NAME", "display N", "failed REASON TEXT", "ended REASON TEXT".

report_file=$1 kind=$2 width=$3 height=$4 max_width=$5 max_height=$6 gl=$7 display=$8
shift 8
here=$(dirname "$0")
events=$XDG_RUNTIME_DIR/.events
ready=$XDG_RUNTIME_DIR/.ready
screen=$XDG_RUNTIME_DIR/.screen
dpi=${STRIPEDESK_DPI:-96} layout=${STRIPEDESK_LAYOUT:-us} variant=${STRIPEDESK_VARIANT:-}
unset STRIPEDESK_DPI STRIPEDESK_LAYOUT STRIPEDESK_VARIANT

# A kiosk's application that lived for so long (in hundredths of a second) begins anew; one that ends sooner, so many
# times in a row, is given up. The pause before a start is 0 s, then 1 s, doubled up to 8 s.
steady=1000 most_failures=6

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

# The same with a pause before.
watch_after() {
    pause=$1 name=$2
    shift 2
    (sleep "$pause"; "$@" </dev/null; status=$?; echo "$name $status" >"$events") &
}

# Has the X server keep its screen in a file in memory, descriptor 3: the worker reads the picture there without asking.
share_screen() {
    mkdir "$screen" && ln -s /proc/self/fd/3 "$screen/Xvfb_screen0" && clear_screen
}

# Gives back the memory of what nobody has drawn on: the X server writes zeros up to its largest size, which is how a
# hole reads. The header stays.
clear_screen() {
    fallocate --punch-hole --offset 8192 --length $((max_width * max_height * 4)) /proc/self/fd/3
}

start_server() {
    (Xvfb "$@" -displayfd 4 4>"$ready" </dev/null; status=$?; echo "display $status" >"$events") &
    read -r number <"$ready"
}

# A client that draws gives way after 1 ms instead of 5: so long the engine waits for its pixels (docs/decisions/pacing.md).
start_display() {
    set -- -screen 0 "${max_width}x${max_height}x24" -noreset -nolisten tcp -nolisten local \
        -auth "$XAUTHORITY" -dpi "$dpi" -s 0 -schedInterval 1
    [ "$gl" = gl ] || set -- "$@" -extension GLX
    [ "$display" = any ] || set -- ":$display" "$@"
    case $(readlink /proc/self/fd/0) in
    /memfd:stripedesk-screen*)
        exec 3<&0 </dev/null
        if share_screen; then
            if start_server "$@" -fbdir "$screen"; then
                clear_screen
                exec 3<&-  # programs do not inherit it
                return
            fi
            read -r _ <"$events"  # tells that it ended
            clear_screen
        fi
        exec 3<&-
        echo "The X server is started without its screen in shared memory." >&2
        ;;
    esac
    start_server "$@"
}

# Gives the screen its wanted size. The server was started at the largest it may ever have.
set_size() {
    [ "$width $height" = "$max_width $max_height" ] && return
    mode=${width}x${height}
    xrandr --newmode "$mode" 0 "$width" "$width" "$width" "$width" "$height" "$height" "$height" "$height" &&
        xrandr --addmode screen "$mode" && xrandr --output screen --mode "$mode"
}

# Takes a locale that is not there for C.UTF-8: programs would fall back to one without UTF-8.
check_locale() {
    case $LANG in C.UTF-8 | C.utf8) return ;; esac
    if [ "$(LC_ALL=$LANG locale charmap 2>/dev/null)" != UTF-8 ]; then
        echo "This host has no locale '$LANG', so C.UTF-8 is used. Install the Debian package locales-all." >&2
        export LANG=C.UTF-8
    fi
}

# Gives the X server its keyboard layout before any program reads it. A server begins with us.
set_keyboard() {
    case $layout/$variant in us/) return ;; esac
    if ! setxkbmap -layout "$layout" -variant "$variant" >/dev/null 2>&1; then
        echo "This host has no keyboard layout '$layout' with variant '$variant', so us is used." >&2
        setxkbmap -layout us >/dev/null 2>&1
    fi
}

# Starts the input method that is installed, if any; a template that sets XMODIFIERS has chosen already.
start_input_method() {
    [ -z "${XMODIFIERS:-}" ] || return
    if command -v ibus-daemon >/dev/null; then
        method=ibus
        ibus-daemon --daemonize --xim --panel=disable >/dev/null 2>&1 </dev/null
    elif command -v fcitx5 >/dev/null; then
        method=fcitx
        fcitx5 -d --disable=waylandim >/dev/null 2>&1 </dev/null
    elif command -v fcitx >/dev/null; then
        method=fcitx
        fcitx -d >/dev/null 2>&1 </dev/null
    else
        return
    fi
    export XMODIFIERS="@im=$method" GTK_IM_MODULE="${GTK_IM_MODULE:-$method}" QT_IM_MODULE="${QT_IM_MODULE:-$method}"
}

prepare() {
    check_locale
    set_keyboard
    export XDG_CONFIG_DIRS="$here/xdg:/etc/xdg" XDG_DATA_DIRS="$here/share:/usr/local/share:/usr/share"
    export GTK2_RC_FILES="$here/xdg/gtk-2.0/gtkrc" NO_AT_BRIDGE=1
    mkdir -p "$HOME/Documents" "$HOME/Downloads" "$HOME/Pictures"
    cp -r "$here/skeleton/." "$HOME/" 2>/dev/null
    {
        cat "$here/Xresources"
        printf 'Xft.dpi: %s\nXcursor.size: %s\n' "$dpi" $((24 * dpi / 96))
    } | xrdb -nocpp -load 2>/dev/null
    xsetroot -cursor_name left_ptr 2>/dev/null
    hsetroot -cover "$here/wallpaper.jpg" >/dev/null 2>&1 || xsetroot -solid '#1d2b3a' 2>/dev/null
    if command -v dbus-daemon >/dev/null; then
        bus="unix:path=$XDG_RUNTIME_DIR/bus"
        dbus-daemon --session --address="$bus" --fork --nopidfile && export DBUS_SESSION_BUS_ADDRESS="$bus"
    fi
    start_input_method
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
kiosk)
    openbox --config-file "$here/openbox/application.xml" </dev/null &
    await_window_manager
    failures=0 pause=0
    watch kiosk "$@"
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
    kiosk)
        if [ $(($(now) - began)) -ge "$steady" ]; then
            failures=0 pause=0
        else
            failures=$((failures + 1))
        fi
        if [ "$failures" -lt "$most_failures" ]; then
            echo "'$1' ended (status $status) and is started again after $pause s." >&2
            watch_after "$pause" kiosk "$@"
            began=$(($(now) + 100 * pause))
            pause=$((pause == 0 ? 1 : pause == 8 ? 8 : 2 * pause))
            continue
        fi
        report failed command-died "'$1' ended $failures times in a row soon after it began (status $status)." \
            "It is not started again: correct the template's command."
        ;;
    desktop)
        report ended desktop-exited "The user logged out of the desktop."
        ;;
    esac
    exit 0
done
