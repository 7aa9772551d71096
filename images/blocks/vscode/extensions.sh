# Extensions as folders: from Open VSX by name, from an address, or from the template's resources. OPEN_VSX_URL names another
# registry that speaks as Open VSX does.
set -eu
exec python3 "$CONTEXT/extensions.py"
