#!/bin/sh
# Creates .venv and installs the package with its development tools, at the versions of
# constraints.txt. Running it again brings an existing .venv up to date.
#
#     scripts/setup.sh            the first suitable Python on PATH
#     PYTHON=... scripts/setup.sh this one
set -eu
cd "$(dirname "$0")/.."
environment=.venv

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; tried: ${PYTHON:-python3, python3.11 to python3.14}" \
        "Name one with: make setup PYTHON=/path/to/python3"
}

has_module() {
    "$1" -c "import $2" >/dev/null 2>&1
}

# Debian and Ubuntu ship Python without ensurepip. Any pip that is there can fill the environment
# instead; failing that, the package python3.X-venv brings ensurepip.
create_environment() {
    python=$1
    has_module "$python" venv || install_venv_package "$python"
    if ! has_module "$python" ensurepip && ! has_module "$python" pip; then
        install_venv_package "$python"
    fi
    if has_module "$python" ensurepip; then
        "$python" -m venv --clear "$environment"
    else
        "$python" -m venv --clear --without-pip "$environment"
        "$python" -m pip --python "$environment/bin/python" install --quiet \
            --disable-pip-version-check --constraint constraints.txt pip
    fi
}

install_venv_package() {
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "setup: $1 has no venv or ensurepip module; installing $package" >&2
    scripts/apt-install.sh "$package" ||
        fail "$1 cannot create virtual environments." \
            "On Debian or Ubuntu: sudo apt-get install $package"
    has_module "$1" ensurepip ||
        fail "$1 still has no ensurepip module; choose another Python: make setup PYTHON=..."
}

pip_install() {
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt "$@"
}

python=$(find_python)
if ! suitable "$environment/bin/python" || ! has_module "$environment/bin/python" pip; then
    echo "setup: creating $environment with $("$python" --version)"
    create_environment "$python"
fi
echo "setup: installing the package and its tools into $environment"
# The build tools come first and pinned, so that nothing is built in an environment of its own
# with whatever version is the newest today.
pip_install pip hatchling editables
pip_install --no-build-isolation --group dev --editable '.[redis,django]'
echo "setup: done"
