#!/usr/bin/env bash
# Real Apache Flink on one machine, taken from the PyPI package apache-flink-libraries.
#
#   flink.sh install 2.3.0                   download the package, unpack its jars, compile java/ (idempotent)
#   flink.sh java 2.3.0 MainClass args...    run a class of java/ on that version
#
# ESKER_FLINK_CACHE  where jars and classes live (default ${XDG_CACHE_HOME:-$HOME/.cache}/esker/flink)
# FLINK_EXTRA_SRC    one more folder of .java files to compile in
# FLINK_JVM_OPTS     more JVM options, e.g. -Xmx4g
# FLINK_TIER         JIT tier: 1 (default) starts fast, 4 runs long work fast
#
# Exit status 3: there is no Java 17 with javac, or no pip. 4: there is no way to the package.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ESKER_FLINK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/esker/flink}

die() { echo "flink.sh: $*" >&2; exit 2; }
missing() { echo "flink.sh: $*" >&2; exit 3; }
unreachable() { echo "flink.sh: $*" >&2; exit 4; }

need_java() {
  local program version
  for program in java javac; do
    version=$("$program" -version 2>&1 | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p;q') || version=
    [ "${version:-0}" -ge 17 ] || missing "there is no Java 17 ($program)"
  done
}

# What is made lies in a folder of its own until it is whole; whoever comes second finds it there.
keep() {
  mv -T "$1" "$2" 2>/dev/null || { rm -rf "$1"; [ -d "$2" ] || die "cannot make $2"; }
}

download() {
  local v=$1 dir=$cache/$1/lib new
  [ -d "$dir" ] && return 0
  python3 -m pip --version >/dev/null 2>&1 || missing "there is no Python 3 with pip"
  mkdir -p "$cache/$v"
  new=$(mktemp -d "$cache/$v/new.XXXXXX")
  mkdir "$new/package" "$new/lib"
  echo "flink.sh: downloading apache-flink-libraries==$v" >&2
  python3 -m pip download -q --disable-pip-version-check --no-deps -d "$new/package" \
    "apache-flink-libraries==$v" >&2 || { rm -rf "$new"; unreachable "cannot download apache-flink-libraries==$v"; }
  # A wheel keeps the jars under pyflink/lib, a source archive under */deps/lib.
  python3 - "$new/package" "$new/lib" <<'PY'
import glob, os, re, shutil, sys, tarfile, zipfile
src, dst = sys.argv[1:]
want = re.compile(r"(pyflink|deps)/lib/((flink-(dist|table|cep|shaded)|log4j)[^/]*\.jar)$")
for f in glob.glob(src + "/*"):
    if f.endswith(".whl"):
        z = zipfile.ZipFile(f); names = z.namelist(); opener = z.open
    else:
        t = tarfile.open(f); names = t.getnames(); opener = t.extractfile
    for n in names:
        m = want.search(n)
        if m:
            with opener(n) as i, open(os.path.join(dst, m.group(2)), "wb") as o:
                shutil.copyfileobj(i, o)
PY
  ls "$new"/lib/flink-dist*.jar >/dev/null 2>&1 || { rm -rf "$new"; die "no flink-dist jar in the package of $v"; }
  keep "$new/lib" "$dir"
  rm -rf "$new"
}

classpath() { local IFS=:; echo "$cache/$1/lib/"*.jar | tr ' ' ':'; }

# Sources: java/ for every version, plus java/flink1 or java/flink2 for the calls that differ.
compile() {
  local v=$1 cp=$2 srcs sum out new
  srcs=("$here"/java/*.java "$here"/java/flink"${v%%.*}"/*.java)
  [ -n "${FLINK_EXTRA_SRC:-}" ] && srcs+=("$FLINK_EXTRA_SRC"/*.java)
  sum=$(cat "${srcs[@]}" | sha256sum | cut -c1-16)
  out=$cache/$v/classes-$sum
  if [ ! -d "$out" ]; then
    new=$(mktemp -d "$cache/$v/new.XXXXXX")
    javac -nowarn -Xlint:none -proc:none -encoding UTF-8 -g -d "$new" -cp "$cp" "${srcs[@]}" 2>"$new/said" ||
      { cat "$new/said" >&2; rm -rf "$new"; die "javac failed"; }
    rm "$new/said"
    cp "$here/java/log4j2.properties" "$new/"
    keep "$new" "$out"
  fi
  echo "$out"
}

install() {
  need_java
  download "$1"
  compile "$1" "$(classpath "$1")"
}

run_java() {
  local v=$1 out opens=() p; shift
  out=$(install "$v")
  for p in java.lang java.lang.invoke java.lang.reflect java.math java.net java.io java.nio java.text \
           java.time java.util java.util.concurrent java.util.concurrent.atomic \
           java.util.concurrent.locks sun.nio.ch sun.net.util; do
    opens+=("--add-opens=java.base/$p=ALL-UNNAMED")
  done
  # shellcheck disable=SC2086
  exec java "${opens[@]}" -XX:TieredStopAtLevel=${FLINK_TIER:-1} -Xshare:auto -Dfile.encoding=UTF-8 \
    -Duser.timezone=UTC -Xmx2g ${FLINK_JVM_OPTS:--XX:+UseSerialGC} -cp "$out:$(classpath "$v")" "$@"
}

case ${1:-} in
  install) [ $# = 2 ] || die "usage: flink.sh install VERSION"; install "$2" >/dev/null ;;
  java)    [ $# -ge 3 ] || die "usage: flink.sh java VERSION MainClass args..."; shift; run_java "$@" ;;
  *)       sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
