# A Python environment. With a lock nothing is resolved; without one the resolved versions are kept in lock.txt.
set -eu
"$INTERPRETER" -m venv "$PREFIX"
"$PREFIX/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
if [ -n "$LOCK" ]; then
    printf '%s\n' "$LOCK" >"$PREFIX/lock.txt"
    "$PREFIX/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps -r "$PREFIX/lock.txt"
    "$PREFIX/bin/python" -m pip check --disable-pip-version-check
else
    printf '%s\n' ipykernel "$PACKAGES" >"$PREFIX/requirements.txt"
    "$PREFIX/bin/python" -m pip install --disable-pip-version-check --no-input -r "$PREFIX/requirements.txt"
    "$PREFIX/bin/python" -m pip freeze --disable-pip-version-check >"$PREFIX/lock.txt"
fi
