# shellcheck shell=bash
# Part of `stack`: what a server needs is fetched once, into STACK_CACHE.

VERSITYGW=v1.8.0
TOXIPROXY=v2.5.0

# attempt LOG FAULT COMMAND…: runs it, and shows the end of its output if it fails.
attempt() {
  local log=$1 fault=$2
  shift 2
  "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "$fault (log: $log)"; }
}

maven_dir() { echo "$STACK_CACHE/$1-$(sha256sum "$HERE/pom.xml" | cut -c1-12)"; }

# maven PROFILE GOAL [OPTION…]: the jars of a profile of pom.xml, in maven_dir.
maven() {
  local name=$1 goal=$2 to
  shift 2
  to=$(maven_dir "$name")
  [[ -d $to ]] && return 0
  say "fetching $name with Maven"
  rm -rf "$to.part"
  attempt "$STACK_CACHE/$name.log" "Maven could not fetch $name" \
    mvn -B -q -f "$HERE/pom.xml" -P"$name" "dependency:$goal" -DoutputDirectory="$to.part" "$@"
  mv "$to.part" "$to"
}

# gobin PACKAGE VERSION NAME: a program in Go, as STACK_CACHE/bin/NAME-VERSION.
gobin() {
  local to=$STACK_CACHE/bin/$3-$2
  [[ -x $to ]] && return 0
  say "building $3 $2"
  attempt "$STACK_CACHE/$3.log" "go install of $3 failed" env GOBIN="$STACK_CACHE/bin.part" GOFLAGS=-buildvcs=false go install "$1@$2"
  mkdir -p "$STACK_CACHE/bin"
  mv "$STACK_CACHE/bin.part/${1##*/}" "$to"
  rm -rf "$STACK_CACHE/bin.part"
}

# pg_bin sets PGBIN to the folder of PostgreSQL's programs.
pg_bin() {
  local d
  for d in /usr/lib/postgresql/*/bin; do [[ -x $d/postgres ]] && PGBIN=$d; done
  [[ -n ${PGBIN:-} ]]
}

# java21 prints a Java of version 21 or newer: the registry needs one, the others run on 17.
java21() {
  local j version
  for j in ${STACK_REGISTRY_JAVA:-} "$(command -v java)" /usr/lib/jvm/*/bin/java; do
    [[ -x $j ]] || continue
    version=$("$j" -version 2>&1 | sed -n '1s/^[^"]*"\([0-9]*\).*/\1/p')
    if ((version >= 21)); then echo "$j"; return 0; fi
  done
  return 1
}

apt_install() {
  ((EUID == 0)) || die "needs $*; install that, or run this as root"
  say "installing $* with apt"
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] || # no cluster of Debian's own on port 5432
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  attempt "$STACK_CACHE/apt-update.log" "apt-get update failed" apt-get update
  attempt "$STACK_CACHE/apt.log" "apt could not install $*" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "$@"
}

need() { command -v "$1" >/dev/null || die "needs $1"; }

# install SERVER…
install() {
  local name
  mkdir -p "$STACK_CACHE"
  exec 9>"$STACK_CACHE/lock"
  flock 9 # one installation at a time
  need curl
  for name in "$@"; do
    case $name in
      kafka | sqs) need java; need mvn; maven "$name" copy-dependencies -DincludeScope=runtime ;;
      registry) need java; need mvn; maven registry unpack-dependencies ;;
      s3) need go; gobin github.com/versity/versitygw/cmd/versitygw "$VERSITYGW" versitygw ;;
      pg) pg_bin || apt_install postgresql ;;
      chromium) command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core ;; # for tests of pages
      toxiproxy) need go; gobin github.com/Shopify/toxiproxy/v2/cmd/server "$TOXIPROXY" toxiproxy ;;
    esac
  done
  exec 9>&-
}
