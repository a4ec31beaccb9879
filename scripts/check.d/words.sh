#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# words.sh - words the code does without, each with what to write instead. Comments and string
# literals do not count: both become blanks before a file is searched, lines stay where they are.
set -uo pipefail
. scripts/check.d/files.sh
tracked '*.c' '*.h' | perl -e '
use strict;
my $w = qr/(?<![_[:alnum:]])/;
# files, word, what instead
my @rules = (
	[qr{}, qr/$w(?:strcpy|strcat|sprintf|vsprintf)\s*\(/, "strcpy, strcat, sprintf: snprintf or memcpy"],
	[qr{}, qr/$w(?:atoi|atol|atof)\s*\(/, "atoi: strtol and look at the end"],
	[qr{}, qr/${w}strtok\s*\(/, "strtok: strchr, strtok_r"],
	[qr{}, qr/${w}volatile(?![_[:alnum:]])/, "volatile: <stdatomic.h>, with the pair named"],
	[qr{^(include|storage|dataplane|control)/}, qr/${w}assert\s*\(/, "assert(: ASSERT, DASSERT of base/assert.h"],
	[qr{}, qr/${w}system\s*\(/, "system(: fork and exec, or do without"],
	[qr{^(storage|include)/}, qr/$w(?:rte_|RTE_)/, "rte_: DPDK lives in dataplane/"],
	[qr{^(storage|dataplane/[^/]*$)}, qr/$w(?:(?:printf|puts|perror|syslog|log_[a-z]+)\s*\(|fprintf\s*\((?:stderr|stdout))/,
		"only control/ and the tools print: return, count or latch"],
	[qr{^(storage|dataplane/client)/}, qr/$w(?:rte_pktmbuf_free|rte_mempool_put)/, "an mbuf here?"],
	# The protocol: time is an argument, sockets and the port lie behind doors that the simulator plays.
	[qr{^dataplane/(?:(?:window|session|hold|ack|rx|rx_ack|rx_parse|rx_produce|store|store_done|handoff)|client/(?:client_(?:window|rtt|cc|gso|wire)|producer_(?:batches|routes|udp|tcp)))\.c$},
		qr/$w(?:clock_\w+|time|gettimeofday|socket|send(?:to|msg|mmsg)?|recv(?:from|msg|mmsg)?|p?poll|epoll_\w+|nanosleep|usleep|getrandom|randombytes_\w+)\s*\(/,
		"a clock, a socket or chance in a state machine"],
	[qr{^dataplane/(?:(?:window|ack|rx|rx_ack|rx_parse|rx_produce|store_done|handoff)|client/(?:client_(?:window|rtt|cc|gso|wire)|producer_(?:batches|routes|udp|tcp)))\.c$},
		qr/$w(?:malloc|calloc|realloc|aligned_alloc|strdup|free)\s*\(/,
		"memory in a state machine: its caller gives it"],
	[qr{^dataplane/[^/]*$}, qr/${w}rte_pktmbuf_free_seg/, "free whole packets, in drop.c"],
);
my $bad = 0;
sub blank { my $t = shift; $t =~ s/[^\n]/ /g; return $t }
while (my $file = <STDIN>) {
	chomp $file;
	open(my $in, "<", $file) or die "$file: $!";
	local $/ = undef;
	my $text = <$in>;
	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}{blank($1)}gse;
	my @lines = split(/\n/, $text, -1);
	for my $r (@rules) {
		next unless $file =~ $r->[0];
		my @hits = grep { $lines[$_ - 1] =~ $r->[1] } 1 .. @lines;
		next unless @hits;
		print "$file:", join(",", @hits), ": $r->[2]\n";
		$bad = 1;
	}
	$/ = "\n";
}
exit $bad'
