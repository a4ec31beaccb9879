#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fresh.sh - both commands of README.md in a fresh Debian 12 root that holds only `git archive`'s output.
#
# Usage: scripts/fresh.sh [--base TAR] [--only STEP] [--keep]
#   --base TAR    use (and make, if it is not there) this tar of a minimal Debian 12
#   --only STEP   one of: refuse, quickstart, test, user (packages are not installed by `refuse`)
#   --keep        leave the root; its place is printed
# Steps: refuse     an ordinary user without the packages gets the exact line to type and exit 2
#        quickstart scripts/quickstart.sh as root       test  scripts/test.sh as root
#        user       scripts/quickstart.sh as an ordinary user, packages present
# Needs root and mmdebstrap or debootstrap. Mounts live in a mount namespace of its own, processes in a
# pid namespace: when this script ends, however it ends, they are gone.
set -euo pipefail
cd "$(dirname "$0")/.."

base= only= keep=0
while [ $# -gt 0 ]; do
	case $1 in
	--base) base=$(realpath -m "${2:?--base wants a file}"); shift 2 ;;
	--only) only=${2:?--only wants a step}; shift 2 ;;
	--keep) keep=1; shift ;;
	*) sed -n '3,13p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done
[ "$(id -u)" = 0 ] || { echo "fresh.sh needs root (chroot and mounts): sudo scripts/fresh.sh"; exit 2; }
git rev-parse HEAD >/dev/null || { echo "fresh.sh needs a git clone: it tests what is committed"; exit 2; }
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "note: uncommitted changes are not tested, only $(git rev-parse --short HEAD)"
tool=$(command -v mmdebstrap || command -v debootstrap) || {
	echo "neither mmdebstrap nor debootstrap: apt-get install mmdebstrap"; exit 2; }

top=$(mktemp -d /var/tmp/kira-fresh-XXXXXX)
root=$top/root
mkdir "$root"
child=
clean_up() {
	[ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
	# The mounts were another namespace's; nothing of the host hangs below.
	if grep -q " $root/" /proc/self/mounts; then
		echo "something is still mounted below $root: it is left alone"
	elif [ $keep = 1 ]; then
		echo "kept: $root"
	else
		rm -rf --one-file-system "$top"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "== a fresh Debian 12 in $root"
if [ -n "$base" ] && [ -e "$base" ]; then
	tar -xpf "$base" -C "$root"
else
	case $tool in
	*mmdebstrap) mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$root" http://deb.debian.org/debian ;;
	*) debootstrap --variant=minbase --include=ca-certificates bookworm "$root" http://deb.debian.org/debian ;;
	esac
	[ -n "$base" ] && tar -cpf "$base" -C "$root" --one-file-system .
fi
for f in /etc/resolv.conf /etc/hosts; do
	[ -e "$f" ] && cat "$f" > "$root$f"
done
# How this machine reaches its package mirror, where that is configured.
for f in /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy*; do
	[ -e "$f" ] && cp "$f" "$root$f"
done
chroot "$root" useradd -m kira 2>/dev/null || true
mkdir "$root/src"
git archive --prefix=kira/ HEAD | tar -x -C "$root/src"
# The ordinary user's steps work in a copy that belongs to it.
cp -a "$root/src/kira" "$root/home/kira/kira"
chroot "$root" chown -R kira:kira /home/kira

# inside DIR USER LIMIT COMMAND..
inside() {
	local dir=$1 user=$2 limit=$3
	shift 3
	unshare --mount --pid --fork --kill-child --propagation private bash -c '
		set -e
		root=$1 dir=$2 user=$3
		shift 3
		mount --bind "$root" "$root"     # so that / is a mount point inside: ip netns wants that
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/run"
		if [ "$user" = root ]; then
			exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM=dumb \
				${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
				bash -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
		else
			exec chroot --userspec="$user:$user" "$root" env -i HOME="/home/$user" USER="$user" \
				PATH=/usr/bin:/bin LC_ALL=C.UTF-8 TERM=dumb bash -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
		fi' fresh "$root" "$dir" "$user" timeout -k 10 "$limit" "$@" < /dev/null &
	child=$!
	wait $child
	local rc=$?
	child=
	return $rc
}

results=() bad=0
step() {    # NAME WANTED-EXIT DIR USER LIMIT COMMAND..
	local name=$1 want=$2 rc=0 t0
	shift 2
	[ -z "$only" ] || [ "$only" = "$name" ] || return 0
	echo "== $name: ${*:4} as $2 in $1"
	t0=$(date +%s)
	set +e
	inside "$@"
	rc=$?
	set -e
	if [ "$rc" = "$want" ]; then
		results+=("ok      $name: exit $rc in $(($(date +%s) - t0)) s")
	else
		results+=("FAILED  $name: exit $rc, wanted $want, in $(($(date +%s) - t0)) s")
		bad=1
	fi
}

step refuse 2 /home/kira/kira kira 60 scripts/quickstart.sh
step quickstart 0 /src/kira root 1500 scripts/quickstart.sh --json
step test 0 /src/kira root 2400 scripts/test.sh
step user 0 /home/kira/kira kira 900 scripts/quickstart.sh --json
printf '%s\n' "${results[@]}"
exit $bad
