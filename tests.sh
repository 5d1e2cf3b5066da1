#!/usr/bin/env bash
# Everything that has to be green: format, lints, documentation, build, tests on real database servers.
#
#   ./tests.sh          needs a Rust toolchain; on Debian it installs the rest that is missing (no service is started)
#
# Some tests need more and are skipped without it:
#   SERVER_SYNC_TEST_MYSQL_ROOT, SERVER_SYNC_TEST_MYSQL_TOOL   a MySQL 9 in a root folder, and the tool that starts it
#   SERVER_SYNC_TEST_SAKILA                                    the folder with sakila-schema.sql and sakila-data.sql
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin

# The packages that are missing, one a line. The -core packages have the programs and no service.
missing_packages() {
  command -v mariadbd >/dev/null || echo mariadb-server-core
  command -v mariadb >/dev/null || echo mariadb-client-core
  command -v sshd >/dev/null || echo openssh-server
  command -v ssh >/dev/null || echo openssh-client
  command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || echo libfaketime
  [ -e /usr/share/zoneinfo/Europe/Paris ] || echo tzdata
}

install_packages() {
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  echo "installing: $*"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

say_what_is_skipped() {
  [ -n "${SERVER_SYNC_TEST_MYSQL_ROOT:-}" ] || echo "skipped: tests on MySQL 9 (set SERVER_SYNC_TEST_MYSQL_ROOT)"
  [ -n "${SERVER_SYNC_TEST_SAKILA:-}" ] || echo "skipped: tests on Sakila (set SERVER_SYNC_TEST_SAKILA)"
}

mapfile -t packages < <(missing_packages)
[ "${#packages[@]}" = 0 ] || install_packages "${packages[@]}"
say_what_is_skipped

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps
cargo build --locked --workspace

if cargo nextest --version >/dev/null 2>&1; then
  # The other runner does not know documentation tests.
  cargo test --locked --workspace --doc
  # How many at once, and which of them need more room: .config/nextest.toml.
  exec cargo nextest run --locked --workspace --no-fail-fast --test-threads "$((2 * $(nproc)))"
fi
exec cargo test --locked --workspace --no-fail-fast
