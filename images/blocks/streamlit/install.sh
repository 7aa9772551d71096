# Streamlit in a virtual environment of its own.
set -eu
python3 -m venv "$PREFIX"
"$PREFIX/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
"$PREFIX/bin/python" -m pip install --disable-pip-version-check --no-input "streamlit==$STREAMLIT_VERSION"
"$PREFIX/bin/python" -m pip freeze --disable-pip-version-check >"$PREFIX/lock.txt"
