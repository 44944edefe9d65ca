#!/bin/sh
# What Avahi hears of a service type: its daemon runs here for as long as that takes, in a /run of its own.
set -e
mount -t tmpfs tmpfs /run
mkdir /run/dbus
dbus-daemon --system --nopidfile --fork
printf '[server]\nuse-ipv4=yes\nuse-ipv6=yes\n[publish]\ndisable-publishing=yes\n' >/run/avahi.conf
avahi-daemon --daemonize --no-drop-root --no-chroot --no-rlimits --file=/run/avahi.conf
# It ends after a second, in which a server that has just spoken does not speak again.
until avahi-browse --resolve --terminate --parsable "$1" | grep '^='; do :; done
