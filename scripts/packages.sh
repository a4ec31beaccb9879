# SPDX-License-Identifier: MIT
# packages.sh - the Debian packages that quickstart.sh and test.sh need, and how what is missing gets
# installed. Sourced, not run.
# shellcheck disable=SC2034
build_packages="gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libnuma-dev liblz4-dev zlib1g-dev
	libsnappy-dev libzstd-dev libisal-dev libinih-dev librdkafka-dev libcunit1-dev"
run_packages="kcat procps"
test_packages="clang libclang-rt-14-dev python3 python3-kafka python3-lz4 python3-confluent-kafka strace
	iproute2 ethtool iputils-ping e2fsprogs xfsprogs mount"

# install_missing COMMAND PACKAGE..: root installs; anyone else is told the line to type, exit 2.
install_missing() {
	local again=$1 p lack=
	shift
	for p in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || lack+=" $p"
	done
	[ -n "$lack" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "Missing packages. Type this, then $again again:"
		echo "sudo apt-get install --no-install-recommends$lack"
		exit 2
	fi
	echo "== install:$lack"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q || exit 1
	# shellcheck disable=SC2086
	apt-get install -y -q --no-install-recommends $lack || exit 1
}
