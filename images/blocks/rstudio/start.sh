# Prepares RStudio Server's folders, and becomes it. Who may ask is decided by the proxy and the studio's own network.
set -eu
own="$HOME/.rstudio-server"
kept="$ATELIER_WORKSPACE/user-versioned/rstudio"
mkdir -p "$own/run" "$own/data" "$kept"
export RSTUDIO_CONFIG_HOME="$kept" RSTUDIO_DATA_HOME="$HOME/.local/share/rstudio"
command -v R >/dev/null || { echo "R is not installed: the base image needs the package r-base-core" >&2; exit 127; }
[ -s "$own/key" ] || (umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$own/key")
# The session sees the libraries of the template's code environments.
libraries=
for folder in "$ATELIER_PREFIX"/code_env-*/library; do
    [ ! -d "$folder" ] || libraries="${libraries:+$libraries:}$folder"
done
cat >"$own/rsession.sh" <<END
#!/bin/sh
export R_LIBS="$libraries" RSTUDIO_CONFIG_HOME="$RSTUDIO_CONFIG_HOME" RSTUDIO_DATA_HOME="$RSTUDIO_DATA_HOME"
exec "$ATELIER_PREFIX/rstudio/server/bin/rsession" "\$@"
END
chmod 700 "$own/rsession.sh"
printf 'provider=sqlite\ndirectory=%s\n' "$own/data" >"$own/database.conf"
exec "$ATELIER_PREFIX/rstudio/server/bin/rserver" --server-daemonize=0 --server-user="$(id -un 2>/dev/null || id -u)" \
    --www-address="$ATELIER_LISTEN_ADDRESS" --www-port="$1" --www-root-path="$2" --www-same-site=none --auth-none=1 \
    --auth-minimum-user-id=0 --server-data-dir="$own/run" --server-pid-file="$own/run/pid" \
    --secure-cookie-key-file="$own/key" --database-config-file="$own/database.conf" \
    --rsession-path="$own/rsession.sh" --session-default-working-dir="$ATELIER_WORKSPACE"
