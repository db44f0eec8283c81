#!/bin/sh
# Everything in this network namespace that a network could leave behind, as text: run before and after, the two must be
# equal. The tests' own cables ("uplink", "gto…") are left out, and what the kernel counts by itself.
set -e
all() {
  ip -d -o link show | sed 's/^[0-9]*: //; s/@[^:]*:/:/; s/ state [A-Z]*//; s/<[^>]*>//' | sort
  ip -o address show | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
  for family in -4 -6; do
    ip $family route show table all
    ip $family rule show
  done | sed 's/ expires [0-9a-z]*//' | sort
  nft -s list ruleset
  settings=/proc/sys/net
  grep -s '' $settings/ipv4/ip_forward $settings/ipv4/ip_local_reserved_ports $settings/bridge/bridge-nf-call-* \
    $settings/ipv[46]/conf/all/* $settings/ipv[46]/conf/default/* $settings/ipv[46]/conf/lo/* || true
}
found=$(all)
echo "$found" | grep -v -E 'uplink|gto[0-9]' || true
