#!/bin/sh
# Runs every bench on servers of its own and prints its tables (Markdown): about an hour with the defaults. Words are passed on:
#   ./bench.sh                        everything, medians of 5
#   ./bench.sh catchup --samples 1    one bench, quickly
# MySQL 9 is measured as well where SERVER_SYNC_TEST_MYSQL_ROOT and SERVER_SYNC_TEST_MYSQL_TOOL name one.
set -eu
cd "$(dirname "$0")"
cargo build --quiet --release -p sync_bench -p server_sync
if [ $# -eq 0 ]; then set -- all; fi
exec target/release/sync_bench "$@"
