#!/bin/sh
# Unpacks the libraries that the C core needs, for arm64, into the directory named, with their C library.
#
#   arm64_root.sh DIRECTORY PACKAGE...
#
# Needs no root: apt works on lists and a status file of its own, so neither the architectures nor the packages of this
# machine change. Does nothing if the packages are there already.
set -eu
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
stamp=$directory/packages
if [ "$(cat "$stamp" 2>/dev/null)" = "$*" ]; then exit 0; fi

rm -rf "$directory/root" "$directory/apt"
mkdir -p "$directory/root" "$directory/apt/lists/partial" "$directory/apt/archives/partial"
: >"$directory/apt/status"

arm64() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Install-Recommends=false \
        -o Dir::State="$directory/apt" -o Dir::State::status="$directory/apt/status" -o Dir::Cache="$directory/apt" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

arm64 update || echo "arm64_root.sh: some package lists could not be read; trying with the others" >&2
if ! arm64 --download-only -y install "$@" >/dev/null; then
    echo "arm64_root.sh: apt offers no arm64 packages: a Debian mirror with binary-arm64 must be in its sources" >&2
    exit 1
fi
for package in "$directory"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$directory/root"
done
rm -rf "$directory/apt"
echo "$*" >"$stamp"
