# RStudio Server out of its Debian package: from an address, or from the template's resources. Unpacked, not installed, so that
# it needs neither root nor a package manager. R itself is the base image's.
set -eu
package="$TMPDIR/rstudio.deb"
case $PACKAGE in
http://* | https://*)
    python3 -c '
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=120) as answer, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(answer, file)' "$PACKAGE" "$package"
    ;;
*) cp "$CONTEXT/$PACKAGE" "$package" ;;
esac
if [ -n "$PACKAGE_SHA256" ]; then
    echo "$PACKAGE_SHA256  $package" | sha256sum --check --quiet
fi
dpkg-deb --extract "$package" "$PREFIX/root"
rm "$package"
server="$PREFIX/root/usr/lib/rstudio-server"
[ -x "$server/bin/rserver" ] || { echo "the package has no usr/lib/rstudio-server/bin/rserver" >&2; exit 1; }
ln -s root/usr/lib/rstudio-server "$PREFIX/server"
